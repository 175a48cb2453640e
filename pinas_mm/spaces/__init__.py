"""What can be searched. Plain data and pure functions; nothing here imports torch."""

from ..errors import InputError
from .base import Arch, Candidate, Position, SearchSpace, arch_rng, chain
from .nasbench201 import NASBENCH201
from .nasbench_macro import NASBENCH_MACRO
from .resnest50 import RESNEST50
from .shufflenetv2 import SHUFFLENETV2

SPACES: dict[str, SearchSpace] = {
    space.name: space for space in (RESNEST50, NASBENCH_MACRO, NASBENCH201, SHUFFLENETV2)
}


def get_space(name: str, source: str = 'space') -> SearchSpace:
    """The space of that name.

    Raises:
        InputError: There is none.
    """
    if name not in SPACES:
        raise InputError(f'{source}: unknown space {name!r}, expected one of {sorted(SPACES)}')
    return SPACES[name]


__all__ = [
    'SPACES',
    'Arch',
    'Candidate',
    'Position',
    'SearchSpace',
    'arch_rng',
    'chain',
    'get_space',
]
