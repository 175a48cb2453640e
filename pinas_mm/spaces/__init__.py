"""What can be searched. Plain data and pure functions; nothing here imports torch.

Every file of this folder is imported here, so that a new space is one file: it calls
:func:`register_space`."""

from importlib import import_module
from pkgutil import iter_modules

from .base import Arch, Candidate, Position, SearchSpace, arch_rng, chain
from .known import SPACES, get_space, register_space

for _file in iter_modules(__path__):
    import_module(f'{__name__}.{_file.name}')

__all__ = [
    'SPACES',
    'Arch',
    'Candidate',
    'Position',
    'SearchSpace',
    'arch_rng',
    'chain',
    'get_space',
    'register_space',
]
