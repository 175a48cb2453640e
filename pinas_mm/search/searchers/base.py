"""What every searcher is: proposes archs (``ask``), learns from their scores (``tell``). No
torch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...spaces import Arch, SearchSpace
from ..additive import AdditiveModel

MOST_FRUITLESS = 20
POOL = 4096


class Feasible(Protocol):
    """Which archs may be proposed, and what they cost; :class:`pinas_mm.costs.cost.Constraints` is
    one."""

    def mask(self, archs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """``(N, num_slots)`` ints to ``(N, )`` bools."""

    def cost(self, name: str, archs: Sequence[Arch] | NDArray[np.int64]) -> NDArray[np.float64]:
        """One cost of many archs, ``(N, )``; only asked for by searchers with several
        objectives."""


class Searcher(ABC):
    """Base of the searchers. All that a searcher knows follows from its arguments and what it was
    told, in order, so that the same calls give the same archs.

    Args:
        space: What to search.
        feasible: Keeps only archs within limits. Defaults to none.
        seed: Seed of the searcher's own generator.
        max_draws: Draws after which a batch that still lacks archs is given up, 200,000 as in the
            published code: seconds.
    """

    # What of the state follows from the archs asked and their scores.
    TOLD = ('archs', 'scores', 'asked')

    def __init__(
        self,
        space: SearchSpace,
        feasible: Feasible | None = None,
        seed: int = 0,
        max_draws: int = 200_000,
    ) -> None:
        self.space = space
        self.feasible = feasible
        self.max_draws = max_draws
        self.rng = np.random.default_rng(seed)
        self.archs: list[Arch] = []
        self.scores: list[float] = []
        self.asked: set[Arch] = set()
        self.draws = 0
        self._additive: AdditiveModel | None = None

    def ask(self, n: int) -> list[Arch]:
        """Up to ``n`` archs that keep the limits and are new networks (in canonical form); fewer,
        or none, where the space has no more of them.

        Raises:
            InputError: No arch at all was found within the limits.
        """
        batch: list[Arch] = []
        self.draws, fruitless = 0, 0
        while len(batch) < n and self.draws < self.max_draws:
            # Where a searcher finds nothing new any more, the rest is looked for uniformly.
            candidates = (
                self.propose(n - len(batch)) if fruitless < MOST_FRUITLESS else self.draw(POOL)
            )
            found = self.fresh(candidates, n - len(batch))
            fruitless = 0 if found and fruitless < MOST_FRUITLESS else fruitless + 1
            batch += found
        if not batch and not self.asked:
            raise InputError(
                f'no arch of space {self.space.name!r} within {self.feasible} among '
                f'{self.draws:,} draws'
            )
        return batch

    def draw(self, n: int) -> NDArray[np.int64]:
        """``n`` uniformly drawn archs, counted towards ``max_draws``."""
        self.draws += n
        return self.space.sample_array(self.rng, n)

    def tell(self, archs: Sequence[Arch], scores: Sequence[float]) -> None:
        """Scores of archs, higher is better.

        Raises:
            InputError: Not one score per arch, or an arch of another space.
        """
        if len(archs) != len(scores):
            raise InputError(f'tell: {len(archs)} archs and {len(scores)} scores')
        self.archs += [self.space.validate(arch, 'tell') for arch in archs]
        self.scores += [float(score) for score in scores]
        self.asked.update(self.space.canonical(tuple(arch)) for arch in archs)
        self._additive = None

    @abstractmethod
    def propose(self, n: int) -> NDArray[np.int64]:
        """Candidates for about ``n`` archs to ask, best first, any number of rows ``(M,
        num_slots)``; counts in ``self.draws``."""

    def additive_model(self) -> AdditiveModel:
        """An additive model of all scores told; fitted once per ``tell``, since a batch may take
        many proposals."""
        if self._additive is None:
            self._additive = AdditiveModel(self.space, self.archs, self.scores)
        return self._additive

    def fresh(self, candidates: NDArray[np.int64], n: int) -> list[Arch]:
        """The first ``n`` feasible new networks among the candidates, marked as asked."""
        if self.feasible is not None:
            candidates = candidates[self.feasible.mask(candidates)]
        found: list[Arch] = []
        for row in candidates.tolist():
            if len(found) == n:
                break
            arch = self.space.canonical(tuple(row))
            if arch not in self.asked:
                self.asked.add(arch)
                found.append(arch)
        return found

    def best(self, n: int) -> list[Arch]:
        """The ``n`` best archs told, best first; among equal scores the one told first."""
        return [self.archs[i] for i in np.argsort(-np.array(self.scores), kind='stable')[:n]]

    def state_dict(self) -> dict[str, Any]:
        """The state as plain data that JSON can hold."""
        return dict(
            rng=self.rng.bit_generator.state,
            archs=[list(arch) for arch in self.archs],
            scores=list(self.scores),
            asked=sorted(list(arch) for arch in self.asked),
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a :meth:`state_dict`."""
        self.rng.bit_generator.state = state['rng']
        self.archs = [tuple(arch) for arch in state['archs']]
        self.scores = list(state['scores'])
        self.asked = {tuple(arch) for arch in state['asked']}
        self._additive = None
