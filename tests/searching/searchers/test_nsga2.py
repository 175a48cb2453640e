import numpy as np
import pytest

from pinas_mm.errors import InputError
from pinas_mm.searching.searchers.nsga2 import NSGA2Searcher
from pinas_mm.searching.searchers.random import RandomSearcher
from pinas_mm.spaces import get_space

SPACE = get_space('nasbench_macro')


class Costs:
    """MACs: the sum of the choices; params: how many are 2."""

    def mask(self, archs):
        return np.ones(len(archs), bool)

    def cost(self, name, archs):
        if name not in ('macs', 'params'):
            raise InputError(f'unknown cost {name!r}')
        archs = np.asarray(archs)
        return archs.sum(axis=1) if name == 'macs' else (archs == 2).sum(axis=1)


def score(arch):
    """Grows with the cost, but slower and slower: a front of many archs."""
    return float(np.sqrt(np.dot(arch, [1, 2, 1, 3, 1, 2, 1, 4])))


def search(cls, n, **kwargs):
    searcher = cls(SPACE, Costs(), **kwargs)
    while len(searcher.archs) < n:
        archs = searcher.ask(8)
        searcher.tell(archs, list(map(score, archs)))
    return searcher


def hypervolume(searcher):
    """Area of (score, MACs) that the archs told dominate, by hand: the best score at each cost."""
    costs = Costs().cost('macs', searcher.archs)
    return sum(
        max([s for s, c in zip(searcher.scores, costs) if c <= cost], default=0)
        for cost in range(17)
    )


def test_it_finds_a_larger_front_than_random():
    volumes = [
        [hypervolume(search(cls, 160, seed=seed, **kwargs)) for seed in range(5)]
        for cls, kwargs in ((NSGA2Searcher, dict(population=24)), (RandomSearcher, {}))
    ]
    assert np.mean(volumes[0]) > np.mean(volumes[1]) + 2, volumes


def test_the_pareto_archs_are_undominated():
    searcher = search(NSGA2Searcher, 120, population=24, objectives=['macs', 'params'])
    values = {
        arch: (-score(arch), *Costs().cost('macs', [arch]), *Costs().cost('params', [arch]))
        for arch in searcher.archs
    }
    expected = [
        arch
        for arch, mine in values.items()
        if not any(
            other != mine and all(a <= b for a, b in zip(other, mine)) for other in values.values()
        )
    ]
    assert sorted(searcher.pareto()) == sorted(expected) and len(expected) > 5
    scores = list(map(score, searcher.pareto()))
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(objectives=[]), r'objectives=\[\]'),
        (dict(objectives='macs'), "objectives='macs'"),
        (dict(objectives=['watt']), "unknown cost 'watt'"),
        (dict(feasible=None), 'with feasible=None'),
    ],
)
def test_wrong_arguments_are_named(change, message):
    with pytest.raises(InputError, match=message):
        NSGA2Searcher(**dict(space=SPACE, feasible=Costs()) | change)
