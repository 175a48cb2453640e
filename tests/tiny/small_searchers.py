"""Every registered searcher, with arguments that fit a search of few archs."""

import numpy as np

from pinas_mm.searching.searchers import SEARCHERS, build_searcher

# A searcher that is not named here runs with its defaults.
SMALL = dict(
    evolution=dict(population=16, tournament=4),
    nsga2=dict(population=16),
    partition_tree=dict(num_initial=16, refit_every=8, min_leaf=4),
)
VARIANTS = {name: dict(type=name) | SMALL.get(name, {}) for name in sorted(SEARCHERS)} | dict(
    ageing=dict(type='evolution', ageing=True) | SMALL['evolution']
)


class Budget:
    """The sum of the choices is limited: the same for an arch and its canonical form."""

    def __init__(self, most=99):
        self.most = most

    def mask(self, archs):
        return self.cost('macs', archs) <= self.most

    def cost(self, name, archs):
        return np.asarray(archs).sum(axis=1)

    def text(self):
        return f'sum <= {self.most}'

    def ranges(self):
        return 'a sum from 0'


def build(variant, space, feasible=None, seed=0, **arguments):
    return build_searcher(VARIANTS[variant] | arguments, space, feasible or Budget(), seed)
