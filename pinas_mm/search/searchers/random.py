"""Uniform random search: the baseline every other searcher must beat."""
import numpy as np

from .base import Searcher

DRAWS = 4096


class RandomSearcher(Searcher):
    """Draws archs uniformly. See :class:`Searcher` for the arguments."""

    def propose(self, n: int) -> np.ndarray:
        # More than n, since some will be over the limits or asked before.
        return self.space.sample_array(self.rng, min(max(4 * n, 64), DRAWS))
