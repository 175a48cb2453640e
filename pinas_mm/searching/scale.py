"""Scores of any size that a float can hold, for computations that square or add them. No torch."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Squares of it, and sums of many, are finite.
LARGEST = 1e100
# In interquartile ranges below the median: a few archs that do not work at all must not bend what
# is fitted to the others.
LOWEST = -2.5
# Above it: no accuracy is so far, and squares of more would overflow.
HIGHEST = 1e6


def unit_of(scores: ArrayLike, axis: int | None = None) -> NDArray[Any]:
    """What to divide scores by, so that they are at most 1e100: 1 for all but absurd ones, which
    leaves those as they are, bit by bit.

    Args:
        scores: Finite numbers.
        axis: Over which the largest is taken; None for all.
    """
    unit: NDArray[Any] = np.maximum(np.max(np.abs(scores), axis=axis, initial=0.0) / LARGEST, 1.0)
    return unit


def standardised(scores: ArrayLike) -> tuple[NDArray[np.float64], Any, float, float]:
    """Scores in interquartile ranges from their median, for models that are fitted to them; those
    far below are cut off.

    Args:
        scores: Finite numbers ``(N, )``, at least one.

    Returns:
        The values ``(N, )``, and the unit, median and range by which ``unit * (median + range *
        value)`` is a score again.
    """
    unit = unit_of(scores)
    values = np.array(scores, float) / unit
    lower, median, upper = np.percentile(values, [25, 50, 75])
    scale = upper - lower if upper > lower else 1.0
    with np.errstate(over='ignore'):
        return np.clip((values - median) / scale, LOWEST, HIGHEST), unit, median, scale
