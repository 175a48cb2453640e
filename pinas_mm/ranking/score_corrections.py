"""What can be done to scores of many archs without any true accuracy. No torch."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import linregress

from ..search.additive import AdditiveModel
from ..search.scale import unit_of
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


def standardised_sum(*scores: np.ndarray) -> np.ndarray:
    """The sum of several rankers' scores of the same archs, ``(N, )`` each, with equal spread:
    rankers that err differently.

    A supernet and NASWOT do: one has learned what its short training needs, the other sees how
    finely an untrained network tells images apart (docs/ranking.md). Equal weights, so that there
    is nothing to tune. A ranker without any spread adds nothing."""
    scaled = [values / unit_of(values) for values in scores]
    return sum((values - np.mean(values)) / (np.std(values) or 1.0) for values in scaled)
