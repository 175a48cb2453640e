"""Several objectives at once: the score against costs, by non-dominated sorting (NSGA-II, Deb et
al., IEEE TEC 2002)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...schema import AtLeastTwo, PositiveProbability, Probability
from ...spaces import Arch
from ..pareto import pareto_front, rank_and_crowding
from ..scale import unit_of
from .base import Searcher
from .registration import register_searcher


@register_searcher('nsga2')
class NSGA2Searcher(Searcher):
    """Breeds new archs from those that trade the score best for the costs. The sorting and the
    crowding distances are pymoo's.

    Args:
        objectives: Costs that should be low, such as ``('macs', )`` or ``('params', 'latency')``.
        population: Size of the population; the first so many archs are random. Defaults to a
            quarter of the budget, at most 50 as in SPOS's evolution (Guo et al., ECCV 2020).
        mutation: Probability per slot of another candidate.
        crossover: Probability that a child has two parents, 0.9 as published.
        kwargs: See :class:`Searcher`; ``feasible`` must know the costs.

    Raises:
        InputError: An argument out of range, or a cost that is not known.
    """

    def __init__(
        self,
        *args: Any,
        objectives: Sequence[str] = ('macs',),
        population: AtLeastTwo | None = None,
        mutation: PositiveProbability = 0.1,
        crossover: Probability = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.population = self.num_initial = self.random_start('population', population, 50)
        if isinstance(objectives, str) or not objectives or self.feasible is None:
            raise InputError(
                f'NSGA2Searcher: objectives={objectives!r} with feasible={self.feasible}, '
                f'expected names of costs it knows'
            )
        self.objectives = tuple(objectives)
        self.mutation = mutation
        self.crossover = crossover
        self._values(
            np.zeros((1, self.space.num_slots), int), [0.0]
        )  # names an unknown cost at once

    def propose(self, n: int) -> NDArray[np.int64]:
        rank, crowding = rank_and_crowding(self._values(self.archs, self.scores))
        # Of the last front that fits only in part, its least crowded.
        members = np.lexsort((-crowding, rank))[: self.population]
        self.draws += 4 * n
        return np.array([self._child(members, rank, crowding) for _ in range(4 * n)])

    def pareto(self) -> list[Arch]:
        """The archs told that no other beats in every objective, best score first."""
        return [self.archs[i] for i in pareto_front(self._values(self.archs, self.scores))]

    def _values(
        self, archs: Sequence[Arch] | NDArray[np.int64], scores: Sequence[float]
    ) -> NDArray[np.float64]:
        assert self.feasible is not None, 'checked when built'
        return np.stack(
            [
                -np.asarray(scores) / unit_of(scores),
                *(self.feasible.cost(name, archs) for name in self.objectives),
            ],
            axis=1,
        ).astype(float)

    def _child(
        self, members: NDArray[np.int64], rank: NDArray[np.int64], crowding: NDArray[np.float64]
    ) -> Arch:
        child = self._parent(members, rank, crowding)
        if self.rng.random() < self.crossover:
            child = self.space.crossover(child, self._parent(members, rank, crowding), self.rng)
        return self.space.mutate(child, self.mutation, self.rng)

    def _parent(
        self, members: NDArray[np.int64], rank: NDArray[np.int64], crowding: NDArray[np.float64]
    ) -> Arch:
        pair: list[int] = self.rng.choice(members, 2, replace=False).tolist()
        return self.archs[min(pair, key=lambda i: (rank[i], -crowding[i]))]
