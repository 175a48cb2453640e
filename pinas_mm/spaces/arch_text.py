"""An arch in words: the names of its candidates. No torch."""

from .base import Arch, SearchSpace


def candidate_names(space: SearchSpace, arch: Arch) -> list[str]:
    """The name of the chosen candidate of every slot, ``num_slots`` of them, such as ``['mb3_k3',
    'identity', ...]``.

    Args:
        space: The arch's space.
        arch: A valid arch of it.
    """
    return [candidates[choice].name for candidates, choice in zip(space.candidates, arch)]
