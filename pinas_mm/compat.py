"""Which mm packages work with pinas_mm, and how their configs are found.

Each package exists under two distribution names with the same modules: the original (no release
since early 2024) and a maintained build. The check goes by module, so either serves."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from packaging.version import Version

# module: (first version that works, first that is not known to, its distributions, whether pinas_mm
# needs it)
SUPPORTED = {
    # Before 2.10 a hostile checkpoint corrupts memory, also with weights_only (CVE-2026-24747).
    'torch': ('2.10.0', '2.14', ('torch',), True),
    'mmengine': ('0.10.0', '1.0', ('onedl-mmengine', 'mmengine'), True),
    'mmcv': ('2.1.0', '3.0', ('onedl-mmcv', 'mmcv', 'mmcv-lite'), True),
    'mmpretrain': ('1.2.0', '2.0', ('onedl-mmpretrain', 'mmpretrain'), True),
    'mmdet': ('3.3.0', '4.0', ('onedl-mmdetection', 'mmdet'), False),
    'mmseg': ('1.2.0', '2.0', ('onedl-mmsegmentation', 'mmsegmentation'), False),
}


def check_environment() -> None:
    """Checks the installed packages against ``SUPPORTED``.

    Raises:
        ImportError: One is missing or out of range, or mmcv was built without its operators, which
            mmdet and mmseg need, and one of these is installed.
    """
    for module, (first, beyond, distributions, needed) in SUPPORTED.items():
        found = _installed_version(distributions)
        if found is None:
            if needed and find_spec(module) is None:
                raise ImportError(
                    f'pinas_mm needs {module}>={first},<{beyond}, and it is not installed: pip '
                    f'install {distributions[0]}, '
                    'or bash tools/setup.sh for a whole environment'
                )
        elif not Version(first) <= Version(found) < Version(beyond):
            raise ImportError(
                f'pinas_mm works with {module}>={first},<{beyond}, but {module} {found} is '
                f'installed'
            )
    if find_spec('mmcv._ext') is None and (find_spec('mmdet') or find_spec('mmseg')):
        raise ImportError(
            'mmcv is installed without its compiled ops (mmcv._ext), so mmdet and mmseg do not '
            'import: '
            'build it with MMCV_WITH_OPS=1 and pip install --no-build-isolation, or run bash '
            'tools/setup.sh'
        )


def require(module: str, source: str) -> None:
    """Checks that one of ``SUPPORTED`` is installed.

    Raises:
        ModuleNotFoundError: It is not; the message has what to install, and ``source``, which asked
            for it.
    """
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f'{source}: {module} is not installed: pip install '
            + ' or '.join(SUPPORTED[module][2]),
            name=module,
        )


def config_path(name: str) -> str:
    """The file of a config shipped inside an mm package or this one, for use as a base.

    A text config's own ``_base_ = 'mmseg::...'`` fails where the package is installed under another
    distribution name than mmengine's table has. ``_base_`` is evaluated, so this serves in its
    place with every build::

        _base_ = __import__('pinas_mm').config_path(
            'mmseg::deeplabv3/deeplabv3_r50-d8_4xb2-40k_cityscapes-512x1024.py')

    For a config of ours there is no other way: mmengine looks for every type of a base
    ``'pinas_mm::...'`` in our scope, where mmpretrain's, mmdet's and mmseg's types are not.

    Args:
        name: ``'module::path below its configs folder'``; the module is one of ``SUPPORTED`` or
            ``pinas_mm``.

    Raises:
        FileNotFoundError: The module is not one of these, or ships no such config.
        ModuleNotFoundError: The module is not installed.
    """
    module, _, relative = name.partition('::')
    if not relative or module not in (*SUPPORTED, 'pinas_mm'):
        raise FileNotFoundError(f"{name!r}: expected 'module::path/to/config.py' of an mm package")
    if module in SUPPORTED:
        require(module, repr(name))
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None  # `require` has found it
    path = Path(spec.origin).parent / '.mim' / 'configs' / relative
    if not path.is_file():
        raise FileNotFoundError(f'{name!r}: {module} ships no such config ({path})')
    return str(path)


def _installed_version(distributions: tuple[str, ...]) -> str | None:
    for distribution in distributions:
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return None
