"""Which arch next? Each searcher is one file here; it registers itself under the name that configs
use. Nothing here needs torch."""

import pkgutil
from importlib import import_module

from .base import NUM_ARCHS, Feasible, Searcher
from .registration import (
    GIVEN,
    SEARCHERS,
    build_searcher,
    get_searcher,
    register_searcher,
    searcher_name,
    unknown_arguments,
)

# Every file of this folder is imported, so that a new searcher needs no line here.
for _module in pkgutil.iter_modules(__path__):
    import_module(f'{__name__}.{_module.name}')

__all__ = [
    'GIVEN',
    'NUM_ARCHS',
    'SEARCHERS',
    'Feasible',
    'Searcher',
    'build_searcher',
    'get_searcher',
    'register_searcher',
    'searcher_name',
    'unknown_arguments',
]
