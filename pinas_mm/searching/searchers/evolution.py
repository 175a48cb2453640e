"""Evolutionary search: tournaments, crossover, mutation and, if asked for, ageing (Real et al.,
AAAI 2019)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...schema import Count, PositiveProbability, Probability
from ...spaces import Arch
from .base import Searcher
from .registration import register_searcher


@register_searcher('evolution')
class EvolutionSearcher(Searcher):
    """Breeds new archs from a population of the archs told.

    Args:
        population: Size of the population; the first so many archs are random. Defaults to a
            quarter of the budget, at most 20. SPOS (Guo et al., ECCV 2020) has 50 for 1,000 archs;
            20 finds better ones on NAS-Bench-Macro within 300, with and without noise
            (docs/results/searching.md).
        tournament: Parents are the best of so many drawn from the population. Defaults to 5, or the
            whole of a smaller population.
        mutation: Probability per slot of another candidate, 0.1 as in SPOS.
        crossover: Probability that a child has two parents instead of one.
        ageing: Whether the population is the last archs told, so that old ones die, instead of the
            best.
        additive: Whether fitness is what an
            :class:`~pinas_mm.searching.additive.AdditiveModel` of all scores so far says, and
            children are asked in its order. On since scores of supernets are noisy
            (docs/results/searching.md); False is the plain algorithm.
        kwargs: See :class:`Searcher`.

    Raises:
        InputError: An argument out of range.
    """

    def __init__(
        self,
        *args: Any,
        population: Count | None = None,
        tournament: Count | None = None,
        mutation: PositiveProbability = 0.1,
        crossover: Probability = 0.5,
        ageing: bool = False,
        additive: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.population = self.num_initial = self.random_start('population', population, 20)
        self.tournament = min(5, self.population) if tournament is None else tournament
        if self.tournament > self.population:
            raise InputError(
                f'EvolutionSearcher: tournament={tournament}, expected 1 to '
                f'population={self.population}'
            )
        self.mutation = mutation
        self.crossover = crossover
        self.ageing = ageing
        self.additive = additive

    def propose(self, n: int) -> NDArray[np.int64]:
        model = self.additive_model() if self.additive else None
        fitness = np.array(self.scores) if model is None else model.predict(self.archs)
        if self.ageing:
            members: NDArray[np.int64] = np.arange(
                len(self.archs) - self.population, len(self.archs)
            )
        else:
            members = np.argsort(-fitness, kind='stable')[: self.population]
        self.draws += 4 * n
        children = np.array([self._child(members, fitness) for _ in range(4 * n)])
        return children if model is None else model.best_first(children)

    def _child(self, members: NDArray[np.int64], fitness: NDArray[np.float64]) -> Arch:
        child = self._parent(members, fitness)
        if self.rng.random() < self.crossover:
            child = self.space.crossover(child, self._parent(members, fitness), self.rng)
        return self.space.mutate(child, self.mutation, self.rng)

    def _parent(self, members: NDArray[np.int64], fitness: NDArray[np.float64]) -> Arch:
        drawn = self.rng.choice(members, self.tournament, replace=False)
        return self.archs[int(drawn[np.argmax(fitness[drawn])])]
