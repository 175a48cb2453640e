"""Uniform random search: the baseline every other searcher must beat."""

import numpy as np
from numpy.typing import NDArray

from .base import POOL, Searcher
from .registration import register_searcher


@register_searcher('random')
class RandomSearcher(Searcher):
    """Draws archs uniformly. See :class:`Searcher` for the arguments."""

    def propose(self, n: int) -> NDArray[np.int64]:
        # More than n, since some will be over the limits or asked before.
        return self.draw(min(max(4 * n, 64), POOL))
