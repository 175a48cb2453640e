"""A search space as plain data: slots, the candidates of each, and the positions that read them.

Everything else (supernet, sampler, searcher, cost table, subnet) reads its sizes from here. No
torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..schema import shown

Arch = tuple[int, ...]
# Of the candidates of one slot.
Probabilities = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """One choice of a slot: a name for people and the arguments its block is built with."""

    name: str
    block: dict[str, Any]


@dataclass(frozen=True)
class Position:
    """A place in execution order.

    Args:
        stage: Index of the stage it belongs to; the last position of a stage gives that stage's
            feature map.
        in_channels, out_channels: Channels at full width, before ``widen_factor``.
        stride: Spatial stride of the position.
        slots: The slots it reads. In a chain space, position ``i`` reads slot ``i`` alone; a
            position that is no choice reads none.
        parallel: Whether every slot is a block of its own beside the others, as the edges of a cell
            are: what the position costs is then the sum of what its slots cost.
    """

    stage: int
    in_channels: int
    out_channels: int
    stride: int
    slots: tuple[int, ...]
    parallel: bool = False

    @property
    def changes_shape(self) -> bool:
        return self.stride != 1 or self.in_channels != self.out_channels


@dataclass(frozen=True)
class SearchSpace:
    """The data of a space and the pure functions over its archs.

    An arch is a tuple with one candidate index per slot.

    Args:
        name: Name in :func:`~pinas_mm.spaces.register_space`, in subnet files and in histories.
        candidates: For each slot, its candidates.
        positions: In execution order.
        stem_channels: Channels that enter position 0, at full width.
        tail_channels: Channels of the unchosen end after the last position, or None where the space
            has none.
    """

    name: str
    candidates: tuple[tuple[Candidate, ...], ...]
    positions: tuple[Position, ...]
    stem_channels: int
    tail_channels: int | None = None

    @property
    def num_slots(self) -> int:
        return len(self.candidates)

    @property
    def num_candidates(self) -> tuple[int, ...]:
        """The number of candidates of each slot."""
        return tuple(len(slot) for slot in self.candidates)

    @property
    def num_stages(self) -> int:
        return self.positions[-1].stage + 1

    @property
    def cost_terms(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """What the cost of an arch is the sum of: pairs of a position and the slots of it that one
        term depends on. A position is one term, a parallel one has a term per slot."""
        return tuple(
            (index, slots)
            for index, position in enumerate(self.positions)
            for slots in (
                [(slot,) for slot in position.slots] if position.parallel else [position.slots]
            )
        )

    @property
    def size(self) -> int:
        """The number of archs (not of distinct networks, see :meth:`canonical`)."""
        return int(np.prod([float(n) for n in self.num_candidates]))

    def validate(self, arch: Sequence[int], source: str = 'arch') -> Arch:
        """Returns ``arch`` as a tuple of ints.

        Args:
            arch: One candidate index per slot.
            source: Where it came from, for the message.

        Raises:
            InputError: Wrong length, or an entry that is not a candidate of its slot.
        """
        if isinstance(arch, str | bytes) or not isinstance(arch, Sequence | np.ndarray):
            raise InputError(
                f'{source}: {shown(arch)} is not a list of {self.num_slots} candidate indices'
            )
        if len(arch) != self.num_slots:
            raise InputError(
                f'{source}: {shown(list(arch))} has {len(arch)} entries, but space '
                f'{self.name!r} has {self.num_slots} slots'
            )
        for slot, (choice, count) in enumerate(zip(arch, self.num_candidates)):
            if (
                isinstance(choice, bool)
                or not isinstance(choice, int | np.integer)
                or not 0 <= choice < count
            ):
                raise InputError(
                    f'{source}: slot {slot} holds {shown(choice)}, but space {self.name!r} has '
                    f'candidates 0 to {count - 1} there'
                )
        return tuple(int(choice) for choice in arch)

    def canonical(self, arch: Arch) -> Arch:
        """The representative of all archs that are the same network as ``arch``; here each arch is
        its own."""
        return arch

    def sample_array(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """``n`` uniformly drawn archs, an int array of shape ``(n, num_slots)``."""
        return rng.integers(0, self.num_candidates, size=(n, self.num_slots))

    def sample(
        self, rng: np.random.Generator, probabilities: Sequence[Probabilities] | None = None
    ) -> Arch:
        """One arch, drawn uniformly, or by ``probabilities``, one per candidate of every slot
        (:meth:`slot_probabilities`)."""
        if probabilities is None:
            return tuple(self.sample_array(rng, 1)[0].tolist())
        return tuple(int(rng.choice(len(slot), p=slot)) for slot in probabilities)

    def slot_probabilities(
        self, weights: Sequence[float] | Sequence[Sequence[float]], source: str = 'probabilities'
    ) -> list[NDArray[np.float64]]:
        """The probabilities of the candidates of every slot, each slot's summing to 1.

        Args:
            weights: What they are proportional to: one number per candidate, for all slots alike,
                or a list of them for every slot.
            source: Where they came from, for the message.

        Raises:
            InputError: Not one number of at least 0 per candidate, or a slot without any above 0.
        """
        try:
            slots = [
                np.array(slot, float)
                for slot in (weights if np.ndim(weights[0]) else [weights] * self.num_slots)
            ]
        except (TypeError, ValueError, IndexError) as error:
            raise InputError(
                f'{source}={shown(weights)}: expected one number per candidate, or a list of them '
                f'for every slot'
            ) from error
        if [len(slot) for slot in slots] != [*self.num_candidates]:
            raise InputError(
                f'{source}: {[len(slot) for slot in slots]} numbers for the slots of space '
                f'{self.name!r}, which have '
                f'{[*self.num_candidates]} candidates'
            )
        for slot in slots:
            if not np.isfinite(slot).all() or slot.min() < 0 or slot.max() == 0:
                raise InputError(
                    f'{source}: [{", ".join(map("{:g}".format, slot))}], expected numbers of at '
                    f'least 0, one of them above'
                )
        return [slot / slot.sum() for slot in slots]

    def sample_disjoint(
        self,
        rng: np.random.Generator,
        n: int = 2,
        probabilities: Sequence[Probabilities] | None = None,
    ) -> list[Arch]:
        """``n`` archs no two of which agree in any slot: per slot, ``n`` candidates drawn without
        replacement.

        Args:
            rng: The generator.
            n: How many.
            probabilities: One per candidate of every slot (:meth:`slot_probabilities`), for one
                draw after the other; all archs have equal chances. Uniform by default.

        Raises:
            InputError: A slot has fewer than ``n`` candidates, or fewer with a probability above 0.
        """
        if n > min(self.num_candidates):
            raise InputError(
                f'{n} archs that differ in every slot asked of space {self.name!r}, '
                f'where a slot has only {min(self.num_candidates)} candidates'
            )
        if probabilities is None:
            columns = [rng.permutation(count)[:n].tolist() for count in self.num_candidates]
        elif n > min(np.count_nonzero(slot) for slot in probabilities):
            raise InputError(
                f'{n} archs that differ in every slot asked of space {self.name!r}, but a slot '
                f'has fewer candidates with a '
                'probability above 0'
            )
        else:
            # In the order of drawing the likely ones come first.
            columns = [
                rng.permutation(rng.choice(len(slot), n, replace=False, p=slot)).tolist()
                for slot in probabilities
            ]
        return list(zip(*columns))

    def mutate(self, arch: Arch, prob: float, rng: np.random.Generator) -> Arch:
        """With probability ``prob`` per slot, another candidate than the present one, drawn
        uniformly."""
        counts = np.array(self.num_candidates)
        shift = rng.integers(1, np.maximum(counts, 2))
        moved = (np.array(arch) + shift) % counts
        return tuple(np.where(rng.random(self.num_slots) < prob, moved, arch).tolist())

    def crossover(self, first: Arch, second: Arch, rng: np.random.Generator) -> Arch:
        """Each slot from one of the two parents, with equal probability."""
        return tuple(np.where(rng.random(self.num_slots) < 0.5, first, second).tolist())

    def one_hot(self, archs: Sequence[Arch] | NDArray[np.int64]) -> NDArray[np.float32]:
        """One-hot features of archs, a float32 array of shape ``(len(archs),
        sum(num_candidates))``."""
        archs = np.asarray(archs)
        columns = [
            np.eye(count, dtype=np.float32)[archs[:, slot]]
            for slot, count in enumerate(self.num_candidates)
        ]
        return np.concatenate(columns, axis=1)

    def encode(self, arch: Arch) -> str:
        """The arch as text, one digit per slot: ``'22212220'``. :meth:`decode` reads it back."""
        return ''.join(map(str, arch))

    def decode(self, text: str, source: str = 'arch') -> Arch:
        """Reads ``'22212220'`` or ``'2,2,2,1,2,2,2,0'``.

        Raises:
            InputError: Not digits, or not an arch of this space.
        """
        parts = text.replace(' ', '').split(',') if ',' in text else list(text.strip())
        # The time to read digits grows with their square.
        if not all(part.isdecimal() and len(part) < 10 for part in parts):
            raise InputError(
                f'{source}: {shown(text)} is not an arch of space {self.name!r}, '
                f'written like {self.encode((0,) * self.num_slots)!r}'
            )
        return self.validate([int(part) for part in parts], source)


def chain(
    depths: Sequence[int], channels: Sequence[int], strides: Sequence[int], in_channels: int
) -> tuple[Position, ...]:
    """The positions of a chain: per stage, ``depth`` positions with ``channels`` channels, the
    first with the stage's stride."""
    positions: list[Position] = []
    for stage, (depth, width, stride) in enumerate(zip(depths, channels, strides, strict=True)):
        for index in range(depth):
            positions.append(
                Position(stage, in_channels, width, stride if index == 0 else 1, (len(positions),))
            )
            in_channels = width
    return tuple(positions)


def arch_rng(seed: int, step: int, draw: int = 0) -> np.random.Generator:
    """The generator for draw ``draw`` of training step ``step``.

    A pure function of its arguments, so every rank draws the same archs and a resumed run goes on
    with the same ones."""
    return np.random.default_rng((seed, step, draw))
