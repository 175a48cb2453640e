"""What can be done to scores of many archs without any true accuracy. No torch."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import linregress

from ..searching.additive import AdditiveModel
from ..searching.scale import unit_of
from ..searching.score import Standing
from ..spaces import Arch, SearchSpace


def smoothed(space: SearchSpace, archs: Sequence[Arch], scores: np.ndarray) -> np.ndarray:
    """Scores without truth, smoothed over archs that share candidates: the additive model fitted to
    them, ``(N, )``."""
    return AdditiveModel(space, archs, scores.tolist()).predict(archs)


def macs_corrected(scores: np.ndarray, macs: np.ndarray) -> np.ndarray:
    """Scores ``(N, )`` minus their linear fit to the logarithm of MACs."""
    if np.ptp(macs) == 0:
        return scores
    unit = unit_of(scores)
    scores = scores / unit
    fit = linregress(np.log(macs), scores)
    with np.errstate(over='ignore'):
        return unit * (scores - fit.intercept - fit.slope * np.log(macs))


def sum_of_places(scores: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The sum of several rankers' scores of the same archs, ``(N, )`` each, as a search sums them:
    each by the share of the archs that it beats (:class:`~pinas_mm.searching.score.Score`).

    Rankers err differently: a supernet has learned what its short training needs, NASWOT sees how
    finely an untrained network tells images apart (docs/ranking.md). A ranker without any spread
    adds nothing."""
    places = [
        weight * Standing.among(scores[name])(scores[name]) for name, weight in weights.items()
    ]
    return np.asarray(np.sum(places, axis=0))
