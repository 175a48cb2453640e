from collections import Counter

import numpy as np

from pinas_mm.searching.searchers.random import RandomSearcher
from pinas_mm.spaces import get_space


class Even:
    def mask(self, archs):
        return np.asarray(archs)[:, 0] % 2 == 0


def test_archs_are_uniform_over_what_is_feasible():
    space = get_space('resnest50')
    archs = np.array(RandomSearcher(space, Even()).ask(6000))
    assert set(archs[:, 0].tolist()) == {0, 2} and abs((archs[:, 0] == 0).mean() - 0.5) < 0.03
    for slot in range(1, 16):
        assert np.abs(np.bincount(archs[:, slot], minlength=4) / 6000 - 0.25).max() < 0.03


def test_scores_change_nothing():
    space = get_space('resnest50')
    sequences = []
    for sign in (1, -1):
        searcher, asked = RandomSearcher(space), []
        for _ in range(5):
            archs = searcher.ask(8)
            searcher.tell(archs, [sign * sum(arch) for arch in archs])
            asked += archs
        sequences.append(asked)
    assert sequences[0] == sequences[1] and max(Counter(sequences[0]).values()) == 1
