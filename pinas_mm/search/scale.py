"""Scores of any size that a float can hold, for computations that square or add them. No torch."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Squares of it, and sums of many, are finite.
LARGEST = 1e100


def unit_of(scores: ArrayLike, axis: int | None = None) -> NDArray[Any]:
    """What to divide scores by, so that they are at most 1e100: 1 for all but absurd ones, which
    leaves those as they are, bit by bit.

    Args:
        scores: Finite numbers.
        axis: Over which the largest is taken; None for all.
    """
    unit: NDArray[Any] = np.maximum(np.max(np.abs(scores), axis=axis, initial=0.0) / LARGEST, 1.0)
    return unit
