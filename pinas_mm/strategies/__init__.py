"""How are supernet weights trained where one forward pass per step is not enough? Each strategy is
one file here; DSNAS, which learns the arch beside the weights, too."""

import pkgutil
from importlib import import_module

from .amp import AmpOptimWrapper
from .arch_logits import ArchLogits
from .base import PathOptimWrapper, Strategy
from .dsnas import DSNASAmpOptimWrapper, DSNASMixin, DSNASOptimWrapper

# Every file of this folder is imported, and registers what configs name: a new strategy needs no
# line here. The names below are those that other rooms use.
for _module in pkgutil.iter_modules(__path__):
    import_module(f'{__name__}.{_module.name}')

__all__ = [
    'AmpOptimWrapper',
    'DSNASMixin',
    'ArchLogits',
    'DSNASAmpOptimWrapper',
    'DSNASOptimWrapper',
    'PathOptimWrapper',
    'Strategy',
]
