"""Architecture search for OpenMMLab: ``custom_imports = dict(imports=['pinas_mm'])`` makes it known
to any mm config."""

from importlib.util import find_spec

from .compat import check_environment, config_path
from .version import __version__

# The spaces and searchers work without torch; the registries need mmengine, which needs it.
if find_spec('mmengine') is not None:
    check_environment()
    from mmengine.config.utils import MODULE2PACKAGE

    from . import registry as _registry  # noqa: F401

    # The packages whose configs mmengine's hub finds.
    MODULE2PACKAGE.setdefault('pinas_mm', 'pinas_mm')

__all__ = ['__version__', 'config_path']
