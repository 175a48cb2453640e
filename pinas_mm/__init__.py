"""Architecture search for OpenMMLab: ``custom_imports = dict(imports=['pinas_mm'])`` makes it known
to any mm config.

``import pinas_mm as nas`` is also the Python API: ``nas.supernet``, ``nas.search``,
``nas.evaluate``, ``nas.rank``, ``nas.space`` and ``nas.load_subnet`` (:mod:`pinas_mm.api`). It is
imported when it is first used."""

import io
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .compat import check_environment, config_path
from .version import __version__

if TYPE_CHECKING:
    from .api import (
        NamedSpace,
        RankResult,
        SearchResult,
        SpaceDescription,
        Subnet,
        Supernet,
        evaluate,
        load_subnet,
        rank,
        search,
        space,
        supernet,
    )

# The spaces and searchers work without torch; the registries need mmengine, which needs it.
if find_spec('mmengine') is not None:
    check_environment()
    from mmengine.config.utils import MODULE2PACKAGE

    from . import registry as _registry  # noqa: F401

    # The packages whose configs mmengine's hub finds.
    MODULE2PACKAGE.setdefault('pinas_mm', 'pinas_mm')

# What is in pinas_mm.api.
_API = (
    'NamedSpace',
    'RankResult',
    'SearchResult',
    'SpaceDescription',
    'Subnet',
    'Supernet',
    'evaluate',
    'load_subnet',
    'rank',
    'search',
    'space',
    'supernet',
)

__all__ = [
    'NamedSpace',
    'RankResult',
    'SearchResult',
    'SpaceDescription',
    'Subnet',
    'Supernet',
    '__version__',
    'config_path',
    'evaluate',
    'load_subnet',
    'rank',
    'search',
    'space',
    'supernet',
]


def __getattr__(name: str) -> Any:
    """The API, which needs torch and the mm packages."""
    if name not in _API:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    check_environment()
    # The maintained mm packages print a line about a package of theirs as they are imported.
    with redirect_stdout(io.StringIO()):
        api = import_module('.api', __name__)
    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
