"""A ranker that joins scores without truth (supernet, zero-cost) with a handful of real trainings.
No torch."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import BayesianRidge

from ..errors import InputError
from ..searching.scale import unit_of
from ..spaces import Arch, SearchSpace

LEAST_TRUTHS = 5
# Archs that those to be trained are chosen from: enough for an even design, and few enough to look
# at one by one.
POOL = 300


class FewTruths:
    """Predicts true accuracies from some that are known and from scores of all archs.

    The logarithm of what an arch lacks of a highest accuracy is a sum over slots plus a linear map
    of the scores, both shrunk as far as the truths are few (Bayesian ridge regression, MacKay,
    1992). Accuracies saturate, so that a slot is worth less in a good arch than in a poor one. The
    highest accuracy is set above the best known one by half of what that has over the median. On
    NAS-Bench-Macro, 30 truths of :func:`archs_to_train` and no scores give a tau of 0.839 +- 0.020
    with the 3,939 other networks (20 draws); an additive model of the accuracies themselves gives
    0.782 +- 0.029 (benchmarks/few_truths.py).

    Args:
        space: The archs' space.
        archs: Archs with a true accuracy.
        accuracies: Their accuracies in %.
        scores: Scores of the same archs by any rankers, ``(len(archs), F)``; F may be 0.

    Raises:
        InputError: Fewer than five truths, or not one per arch.
    """

    def __init__(
        self,
        space: SearchSpace,
        archs: Sequence[Arch],
        accuracies: Sequence[float],
        scores: np.ndarray,
    ) -> None:
        if not len(archs) == len(accuracies) == len(scores) or len(archs) < LEAST_TRUTHS:
            raise InputError(
                f'{len(archs)} archs, {len(accuracies)} true accuracies and {len(scores)} rows of '
                f'scores: expected as many of '
                f'each, at least {LEAST_TRUTHS}'
            )
        self.space = space
        scores = np.asarray(scores, float)
        self._unit = unit_of(scores, axis=0)
        scores = scores / self._unit
        self._mean, spread = scores.mean(axis=0), scores.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        best = np.max(accuracies)
        self._highest = best + 0.5 * max(best - np.median(accuracies), 0.01)
        self._ridge = BayesianRidge().fit(
            self._features(archs, scores), np.log(self._highest - np.asarray(accuracies, float))
        )

    def predict(self, archs: Sequence[Arch] | np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Expected accuracies in % of archs, ``(N, )``, from the archs and their scores ``(N,
        F)``."""
        return self._highest - np.exp(
            self._ridge.predict(self._features(archs, np.asarray(scores, float) / self._unit))
        )

    def _features(self, archs: Sequence[Arch] | np.ndarray, scores: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [self.space.one_hot(archs), (scores - self._mean) / self._spread], axis=1
        )


def archs_to_train(space: SearchSpace, pool: Sequence[Arch], count: int) -> list[Arch]:
    """Which archs of a pool to train, so that every candidate of every slot is covered evenly.

    One after another, the arch that a linear model over slots knows least about: the greedy
    D-optimal design (Fedorov, 1972).

    Args:
        space: The archs' space.
        pool: Archs to choose from; among equally unknown ones the first is taken.
        count: How many, at most ``len(pool)``.

    Raises:
        InputError: More asked than there are.
    """
    if count > len(pool):
        raise InputError(f'{count} archs to train asked of a pool of {len(pool)}')
    features = space.one_hot(pool).astype(float)
    features -= features.mean(axis=0)
    covariance = 10 * np.eye(
        features.shape[1]
    )  # of the weights, before anything is known: wide against a noise of 1
    chosen: list[int] = []
    for _ in range(count):
        variance = np.einsum('ni,ij,nj->n', features, covariance, features)
        variance[chosen] = -1
        chosen.append(int(variance.argmax()))
        gain = covariance @ features[chosen[-1]]
        covariance -= np.outer(gain, gain) / (1 + features[chosen[-1]] @ gain)
    return [pool[i] for i in chosen]
