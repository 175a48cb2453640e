"""Spaces whose candidates share one set of weights: each is a part of the largest one's (Cai et
al., "Once-for-All", ICLR 2020, section 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import InputError
from .base import Arch, Candidate, Position, SearchSpace

# The text of an arch has one digit per slot.
MOST_CANDIDATES = 10


def depths(*counts: int) -> tuple[Candidate, ...]:
    """Candidates for how many blocks of a stage run: the first so many."""
    return tuple(Candidate(f'depth{count}', dict(depth=count)) for count in counts)


def widths(*shares: float) -> tuple[Candidate, ...]:
    """Candidates for the inner channels of a block: the first so many, as a share of all."""
    return tuple(Candidate(f'width{share:g}', dict(width=share)) for share in shares)


def kernels(*sizes: int) -> tuple[Candidate, ...]:
    """Candidates for the kernel size of a block's depthwise convolution: the centre."""
    return tuple(Candidate(f'kernel{size}', dict(kernel_size=size)) for size in sizes)


@dataclass(frozen=True)
class ElasticSpace(SearchSpace):
    """Adds to :class:`SearchSpace` that every candidate is a part of the last one of its slot, so
    that there are a smallest and a largest arch: ``(0, 0, ...)`` and the last of every slot.

    What a slot chooses is said by its candidates (:func:`depths`, :func:`widths`,
    :func:`kernels`). A position reads its own slots and, where it may not run, the depth of its
    stage. :func:`elastic_space` makes the slots and the positions.

    Raises:
        InputError: A depth below 1 or beyond the stage, an even kernel, a width outside (0, 1],
            candidates that do not ascend or are not of one kind, more than ten in a slot, or a
            stage with two depths.
    """

    def __post_init__(self) -> None:
        for slot, candidates in enumerate(self.candidates):
            self._check(slot, candidates)
        for index, position in enumerate(self.positions):
            depth_slots = [slot for slot in position.slots if self._is_depth(slot)]
            of_stage = {
                slot
                for other in self.positions
                if other.stage == position.stage
                for slot in other.slots
                if self._is_depth(slot)
            }
            if len(of_stage) > 1:
                raise InputError(
                    f'space {self.name!r}: stage {position.stage} reads the depths of slots '
                    f'{sorted(of_stage)}, expected one depth for a stage'
                )
            for slot in of_stage:
                counts = [candidate.block['depth'] for candidate in self.candidates[slot]]
                number, last = self.places[index], len(self._stage(position.stage))
                if counts[-1] != last:
                    raise InputError(
                        f'space {self.name!r}: depths {counts} of a stage of {last} blocks, '
                        f'expected the last to be {last}'
                    )
                if (number >= counts[0]) != bool(depth_slots):
                    raise InputError(
                        f'space {self.name!r}: block {number} of stage {position.stage} '
                        f'{"reads" if depth_slots else "does not read"} the depth of its stage, '
                        f'one of {counts}; expected the blocks that can be left out to read it'
                    )

    def _check(self, slot: int, candidates: tuple[Candidate, ...]) -> None:
        kinds = {tuple(candidate.block) for candidate in candidates}
        if len(kinds) != 1 or kinds.copy().pop() not in [('depth',), ('width',), ('kernel_size',)]:
            raise InputError(
                f'space {self.name!r}: slot {slot} chooses '
                f'{[candidate.block for candidate in candidates]}: expected depths, widths or '
                f'kernels'
            )
        ((kind,),) = kinds
        values = [candidate.block[kind] for candidate in candidates]
        fits, expected = {
            'depth': (_is_depth, 'whole numbers from 1'),
            'width': (_is_width, 'numbers above 0 up to 1, such as 0.5'),
            'kernel_size': (_is_kernel, 'odd whole numbers, such as 3'),
        }[kind]
        wrong = [value for value in values if not fits(value)]
        if wrong:
            raise InputError(
                f'space {self.name!r}: {kind}={wrong[0]!r} in slot {slot}: expected {expected}'
            )
        if any(low >= high for low, high in zip(values, values[1:])):
            raise InputError(
                f'space {self.name!r}: {kind} {values} in slot {slot}: expected each to be more '
                f'than the one before, since candidates go from the smallest to the largest'
            )
        if kind == 'width' and values[-1] != 1:
            raise InputError(
                f'space {self.name!r}: width {values} in slot {slot}: expected the last to be 1, '
                f'the whole block'
            )
        if len(candidates) > MOST_CANDIDATES:
            raise InputError(
                f'space {self.name!r}: {len(candidates)} candidates in slot {slot}, expected at '
                f'most {MOST_CANDIDATES}: an arch has one digit per slot'
            )

    @property
    def smallest(self) -> Arch:
        """The arch that is a part of every other."""
        return (0,) * self.num_slots

    @property
    def largest(self) -> Arch:
        """The arch that is the whole network."""
        return tuple(count - 1 for count in self.num_candidates)

    def own_slots(self, index: int) -> tuple[int, ...]:
        """The slots that say what the block at position ``index`` is, where it runs."""
        return tuple(slot for slot in self.positions[index].slots if not self._is_depth(slot))

    def depth_slot(self, stage: int) -> int | None:
        """The slot with the depth of a stage, None where all its blocks always run."""
        last = self.positions[self._stage(stage)[-1]]
        return next((slot for slot in last.slots if self._is_depth(slot)), None)

    def choice(self, index: int, arch: Arch) -> dict[str, Any] | None:
        """What ``arch`` chooses for position ``index``: ``width`` and ``kernel_size``, as far as it
        has a choice of them; None where it does not run."""
        chosen: dict[str, Any] = {}
        for slot in self.positions[index].slots:
            chosen |= self.candidates[slot][arch[slot]].block
        depth = chosen.pop('depth', None)
        return None if depth is not None and self.places[index] >= depth else chosen

    def canonical(self, arch: Arch) -> Arch:
        """With 0 in the slots of blocks that do not run."""
        chosen = list(arch)
        for index in range(len(self.positions)):
            if self.choice(index, arch) is None:
                for slot in self.own_slots(index):
                    chosen[slot] = 0
        return tuple(chosen)

    @cached_property
    def places(self) -> tuple[int, ...]:
        """For every position its number within its stage."""
        return tuple(
            self._stage(position.stage).index(index)
            for index, position in enumerate(self.positions)
        )

    def _stage(self, stage: int) -> list[int]:
        return [i for i, position in enumerate(self.positions) if position.stage == stage]

    def _is_depth(self, slot: int) -> bool:
        return 'depth' in self.candidates[slot][0].block


def elastic_space(
    name: str,
    stage_depths: Sequence[Sequence[int]],
    choices: Sequence[tuple[Candidate, ...]],
    channels: Sequence[int],
    strides: Sequence[int],
    stem_channels: int,
    tail_channels: int | None = None,
) -> ElasticSpace:
    """A space of stages whose blocks all have the same choices.

    The slots are in the order of the network: for every stage its depth, where it has several, and
    for every block its choices.

    Args:
        name: Name of the space.
        stage_depths: For each stage the numbers of blocks that may run, from the fewest to all.
        choices: For each slot of a block its candidates, such as ``[widths(0.5, 1)]``.
        channels, strides: Of each stage; the stride is of its first block.
        stem_channels, tail_channels: See :class:`SearchSpace`.

    Raises:
        InputError: See :class:`ElasticSpace`.
    """
    candidates: list[tuple[Candidate, ...]] = []
    positions: list[Position] = []
    in_channels = stem_channels
    for stage, (counts, width, stride) in enumerate(
        zip(stage_depths, channels, strides, strict=True)
    ):
        depth: tuple[int, ...] = ()
        if not counts or not all(map(_is_depth, counts)):
            raise InputError(
                f'space {name!r}: stage {stage} has depths {list(counts)}, expected whole numbers '
                f'from 1'
            )
        if len(counts) > 1:
            depth = (len(candidates),)
            candidates.append(depths(*counts))
        for number in range(counts[-1]):
            own = tuple(range(len(candidates), len(candidates) + len(choices)))
            candidates += choices
            positions.append(
                Position(
                    stage,
                    in_channels,
                    width,
                    stride if number == 0 else 1,
                    own if number < counts[0] else (*depth, *own),
                )
            )
            in_channels = width
    return ElasticSpace(name, tuple(candidates), tuple(positions), stem_channels, tail_channels)


def _is_depth(value: Any) -> bool:
    return isinstance(value, int) and value >= 1


def _is_width(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value <= 1


def _is_kernel(value: Any) -> bool:
    return isinstance(value, int) and value >= 1 and value % 2 == 1
