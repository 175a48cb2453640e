"""An arch in words: the names of its candidates, stage by stage. No torch."""

from .base import Arch, SearchSpace
from .elastic import ElasticSpace


def candidate_names(space: SearchSpace, arch: Arch) -> list[str]:
    """The name of the chosen candidate of every slot, ``num_slots`` of them, such as ``['mb3_k3',
    'identity', ...]``.

    Args:
        space: The arch's space.
        arch: A valid arch of it.
    """
    return [candidates[choice].name for candidates, choice in zip(space.candidates, arch)]


def is_cell_space(space: SearchSpace) -> bool:
    """Whether all positions that have a choice are equal cells, whose edges are the slots, as in
    NAS-Bench-201: then an arch says what is in one cell."""
    reading = [position for position in space.positions if position.slots]
    return (
        len(reading) > 1
        and len({position.slots for position in reading}) == 1
        and all(position.parallel for position in reading)
    )


def position_names(space: SearchSpace, arch: Arch) -> list[str | None]:
    """What runs at every position: the names of its slots' candidates with ``+`` between them,
    ``''`` where a position has no choice, None for a block of an elastic space that does not run.

    The depth of a stage is no part of its blocks' names.
    """
    names = candidate_names(space, arch)
    if isinstance(space, ElasticSpace):
        return [
            None
            if space.choice(index, arch) is None
            else '+'.join(names[slot] for slot in space.own_slots(index))
            for index in range(len(space.positions))
        ]
    return ['+'.join(names[slot] for slot in position.slots) for position in space.positions]


def stage_texts(space: SearchSpace, arch: Arch) -> list[str]:
    """One line for each stage: ``'stage 2: mb3_k3, identity, mb6_k5'``.

    Stages are numbered from 0, as in ``out_indices``. A stage of an elastic space begins with its
    depth, where it has a choice of it; blocks that do not run are left out. A space of equal cells
    has one line: ``'every cell: ...'``.
    """
    names = candidate_names(space, arch)
    if is_cell_space(space):
        return [f'every cell: {", ".join(names)}']
    lines: list[str] = []
    for stage in range(space.num_stages):
        depth = space.depth_slot(stage) if isinstance(space, ElasticSpace) else None
        parts = [] if depth is None else [names[depth]]
        parts += [
            name
            for position, name in zip(space.positions, position_names(space, arch))
            if position.stage == stage and name
        ]
        lines.append(f'stage {stage}: {", ".join(parts) or "no choice"}')
    return lines


def arch_text(space: SearchSpace, arch: Arch) -> str:
    """The lines of :func:`stage_texts`, joined by newlines."""
    return '\n'.join(stage_texts(space, arch))
