"""What every searcher is: proposes archs (``ask``), learns from their scores (``tell``). No
torch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...schema import Count, Number, Seed, check, shown
from ...spaces import Arch, SearchSpace
from ..additive import AdditiveModel

MOST_FRUITLESS = 20
POOL = 4096
# Archs of a search, as published (Pi-NAS, Peng et al., ICCV 2021).
NUM_ARCHS = 1000


class Feasible(Protocol):
    """Which archs may be proposed, and what they cost; :class:`pinas_mm.costs.Constraints` is
    one."""

    def mask(self, archs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """``(N, num_slots)`` ints to ``(N, )`` bools."""

    def cost(self, name: str, archs: Sequence[Arch] | NDArray[np.int64]) -> NDArray[np.float64]:
        """One cost of many archs, ``(N, )``; only asked for by searchers with several
        objectives."""

    def text(self) -> str:
        """The limits, for the message that no arch keeps them."""

    def ranges(self) -> str:
        """What archs cost in all, and limits that fit, for the same message."""


class Searcher(ABC):
    """Base of the searchers. All that a searcher knows follows from its arguments and what it was
    told, in order, so that the same calls give the same archs.

    Args:
        space: What to search.
        feasible: Keeps only archs within limits. Defaults to none.
        seed: Seed of the searcher's own generator.
        max_draws: Draws after which a batch that still lacks archs is given up, 200,000 as in the
            published code: seconds.
        budget: Archs that the whole search will evaluate. What a searcher does at its start takes
            by default a share of it, see :meth:`random_start`.
    """

    # So many archs are drawn uniformly before `propose` is asked for the first time.
    num_initial = 0
    # What of the state follows from the archs asked and their scores.
    TOLD = ('archs', 'scores', 'asked')

    def __init__(
        self,
        space: SearchSpace,
        feasible: Feasible | None = None,
        seed: Seed = 0,
        max_draws: Count = 200_000,
        budget: Count = NUM_ARCHS,
    ) -> None:
        self.space = space
        self.feasible = feasible
        self.max_draws = max_draws
        self.budget = budget
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
            lacking = n - len(batch)
            if fruitless >= MOST_FRUITLESS:
                # A searcher that finds nothing new any more: the rest is looked for uniformly.
                candidates = self.draw(POOL)
            elif len(self.archs) < self.num_initial:
                candidates = self.draw(4 * lacking)
            else:
                candidates = self.propose(lacking)
            found = self.fresh(candidates, lacking)
            fruitless = 0 if found and fruitless < MOST_FRUITLESS else fruitless + 1
            batch += found
        if not batch and not self.asked:
            limits = f' with {self.feasible.text()}' if self.feasible else ''
            known = f'; its archs have {self.feasible.ranges()}' if self.feasible else ''
            raise InputError(
                f'no arch of space {self.space.name!r}{limits} among {self.draws:,} draws{known}'
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

    def random_start(self, name: str, given: int | None, published: int) -> int:
        """How many random archs a search begins with: ``given``, or by default a quarter of the
        budget, at least 2 and at most as many as published.

        Args:
            name: The argument that says so, for the message.
            given: What a config gives; None for the default.
            published: What the paper has for :data:`NUM_ARCHS` archs.

        Raises:
            InputError: ``given`` leaves nothing of the budget, or the default would.
        """
        fitting = max(2, min(published, self.budget // 4))
        if self.budget <= fitting:
            raise InputError(
                f'{type(self).__name__}: num_archs={self.budget}: the search would be random to '
                f"its end; expected at least {fitting + 1}, or searcher=dict(type='random')"
            )
        if given is None:
            return fitting
        if given >= self.budget:
            raise InputError(
                f'{type(self).__name__}: {name}={given} random archs with num_archs='
                f'{self.budget}: the search would be random to its end; expected less, such as '
                f'{fitting}, which is the default'
            )
        return given

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
        """The state as plain data that JSON can hold, under the same keys at all times."""
        return dict(
            rng=self.rng.bit_generator.state,
            archs=[list(arch) for arch in self.archs],
            scores=list(self.scores),
            asked=sorted(list(arch) for arch in self.asked),
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a :meth:`state_dict`.

        Raises:
            InputError: It is none of this searcher.
        """
        found, expected = sorted(state), sorted(self.state_dict())
        if found != expected:
            raise InputError(
                f'{shown(found)}: expected the state of {type(self).__name__}, which has {expected}'
            )
        archs = check(list[Arch], state['archs'], key='archs')
        asked = check(list[Arch], state['asked'], key='asked')
        scores = check(list[Number], state['scores'], key='scores')
        if len(archs) != len(scores):
            raise InputError(f'{len(archs)} archs and {len(scores)} scores')
        load_generator(self.rng, state['rng'])
        self.archs = [self.space.validate(arch, 'archs') for arch in archs]
        self.scores = scores
        self.asked = {self.space.validate(arch, 'asked') for arch in asked}
        self._additive = None


def load_generator(rng: np.random.Generator, state: Any) -> None:
    """Puts a generator into a state.

    Raises:
        InputError: It is no state of such a generator, or one from which it never moves.
    """
    try:
        rng.bit_generator.state = state
        # NumPy cuts what is too long. With an even increment numbers repeat, with 0 from the start,
        # and a draw that waits for another number has no end.
        fits = rng.bit_generator.state == state and state['state']['inc'] % 2 == 1
    except (TypeError, ValueError, KeyError, IndexError, OverflowError):
        fits = False  # NumPy checks as it reads
    if not fits:
        raise InputError(
            f"rng={shown(state)}: expected a state of NumPy's {type(rng.bit_generator).__name__}"
        )
