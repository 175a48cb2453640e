"""An additive model of scores: one weight per candidate of every slot. No torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import BayesianRidge

from ..spaces import Arch, SearchSpace
from .scale import standardised


class AdditiveModel:
    """Predicts scores as a sum over slots, shrunk as far as the scores are noisy (Bayesian ridge
    regression, MacKay, 1992).

    Accuracies are close to additive (on NAS-Bench-Macro such a model reaches a Kendall tau of 0.89
    with the truth), so what it averages over archs that share a candidate is worth more than one
    noisy score.

    Args:
        space: The archs' space.
        archs: Archs with a score, at least one.
        scores: Their scores, finite and of any size.
    """

    def __init__(self, space: SearchSpace, archs: Sequence[Arch], scores: Sequence[float]) -> None:
        self.space = space
        values, self._unit, self._median, self._scale = standardised(scores)
        self._ridge = BayesianRidge().fit(space.one_hot(archs).astype(float), values)

    def predict(self, archs: Sequence[Arch] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Expected scores ``(N, )`` of archs, in the unit of the scores."""
        standardised: NDArray[np.float64] = self._ridge.predict(
            self.space.one_hot(archs).astype(float)
        )
        scores: NDArray[np.float64] = self._median + self._scale * standardised
        with np.errstate(over='ignore'):
            return np.asarray(self._unit * scores)

    def best_first(self, archs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Archs ``(N, num_slots)`` in the order of their predictions; equal ones stay in theirs."""
        return archs[np.argsort(-self.predict(archs), kind='stable')]
