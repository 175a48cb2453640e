import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from mmengine.config import Config

from pinas_mm import compat

ROOT = Path(__file__).parents[1]


def test_this_environment_passes():
    compat.check_environment()


@pytest.mark.parametrize(
    'module, found',
    [
        ('torch', '2.9.1'),  # CVE-2026-24747
        ('mmengine', '0.9.1'),
        ('mmcv', '3.0.0'),
        ('mmpretrain', '1.1.1'),
        ('mmdet', '3.2.0'),
        ('mmseg', '2.0.0'),
    ],
)
@pytest.mark.parametrize('build', [0, 1])
def test_a_version_out_of_range_is_named(monkeypatch, module, found, build):
    """Under either distribution name: the other one is not installed."""
    names = compat.SUPPORTED[module][2]

    def version(name):
        if name in names:
            if name != names[build % len(names)]:
                raise PackageNotFoundError(name)
            return found
        return real(name)

    real = compat.version
    monkeypatch.setattr(compat, 'version', version)
    first, beyond = compat.SUPPORTED[module][:2]
    with pytest.raises(
        ImportError,
        match=f'works with {module}>={first},<{beyond}, but {module} {found} is installed',
    ):
        compat.check_environment()


def test_bounds_are_first_inclusive_and_last_exclusive(monkeypatch):
    known = {name: first for first, _, names, _ in compat.SUPPORTED.values() for name in names}
    monkeypatch.setattr(compat, 'version', known.__getitem__)
    compat.check_environment()
    monkeypatch.setattr(compat, 'version', (known | {'onedl-mmcv': '2.9.9'}).__getitem__)
    compat.check_environment()


def missing(monkeypatch, *modules):
    def version(name):
        if any(
            name in compat.SUPPORTED[module][2] for module in modules if module in compat.SUPPORTED
        ):
            raise PackageNotFoundError(name)
        return real_version(name)

    real_version, real_find = compat.version, compat.find_spec
    monkeypatch.setattr(compat, 'version', version)
    monkeypatch.setattr(
        compat, 'find_spec', lambda name: None if name in modules else real_find(name)
    )


def test_a_needed_package_that_is_missing_is_named(monkeypatch):
    missing(monkeypatch, 'mmpretrain')
    with pytest.raises(ImportError, match='needs mmpretrain>=1.2.0,<2.0, and it is not installed'):
        compat.check_environment()


def test_detection_and_segmentation_are_optional(monkeypatch):
    missing(monkeypatch, 'mmdet', 'mmseg')
    compat.check_environment()


def test_mmcv_without_ops_is_named(monkeypatch):
    missing(monkeypatch, 'mmcv._ext')
    with pytest.raises(ImportError, match='without its compiled ops.*MMCV_WITH_OPS=1'):
        compat.check_environment()


def test_mmcv_without_ops_will_do_without_mmdet_and_mmseg(monkeypatch):
    missing(monkeypatch, 'mmcv._ext', 'mmdet', 'mmseg')
    compat.check_environment()


@pytest.mark.slow
def test_learning_and_evaluation_need_little_beside_torch():
    """As on a machine of benchmarks/gpu_check.py."""
    script = ROOT / 'tests/tiny/few_packages.py'
    rooms = ('strategies', 'tasks', 'scoring', 'engine', 'pipelines.dsnas', 'subnets.export')
    modules = [f'pinas_mm.{room}' for room in rooms]
    subprocess.run([sys.executable, script, *modules], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    'name, key',
    [
        (
            'mmseg::deeplabv3/deeplabv3_r50-d8_4xb2-40k_cityscapes-512x1024.py',
            'model.decode_head.num_classes',
        ),
        ('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', 'model.roi_head.mask_head.num_classes'),
        ('mmpretrain::resnet/resnet50_8xb32_in1k.py', 'model.head.num_classes'),
    ],
)
def test_a_shipped_config_is_found_and_serves_as_base(tmp_path, name, key):
    path = Path(compat.config_path(name))
    assert path.is_file() and path.name == name.rpartition('/')[2]
    *parents, _ = key.split('.')
    text = 'num_classes=7'
    for parent in reversed(parents):
        text = f'{parent}=dict({text})'
    (tmp_path / 'ours.py').write_text(
        f"_base_ = __import__('pinas_mm').config_path({name!r})\n{text}\n"
    )
    theirs, ours = Config.fromfile(path), Config.fromfile(tmp_path / 'ours.py')
    for parent in parents:
        theirs, ours = theirs[parent], ours[parent]
    assert theirs.num_classes != 7 and ours == theirs | dict(num_classes=7)


@pytest.mark.parametrize(
    'name, message',
    [
        ('mmseg::no/such.py', 'mmseg ships no such config'),
        ('mmseg::deeplabv3', 'mmseg ships no such config'),
        ('pinas_mm::no/such.py', 'pinas_mm ships no such config'),
        ('no_such_module::x.py', "expected 'module::path.* of an mm package"),
        ('deeplabv3/x.py', "expected 'module::path"),
        ('mmseg::', "expected 'module::path"),
    ],
)
def test_what_is_not_found_is_named(name, message):
    with pytest.raises(FileNotFoundError, match=message) as error:
        compat.config_path(name)
    assert repr(name) in str(error.value)


@pytest.mark.parametrize(
    'module, names',
    [
        ('mmdet', 'onedl-mmdetection or mmdet'),
        ('mmseg', 'onedl-mmsegmentation or mmsegmentation'),
        ('mmpretrain', 'onedl-mmpretrain or mmpretrain'),
    ],
)
def test_a_base_of_a_missing_package_says_what_to_install(monkeypatch, module, names):
    missing(monkeypatch, module)
    with pytest.raises(
        ModuleNotFoundError,
        match=f"^'{module}::x/y.py': {module} is not installed: pip install {names}$",
    ) as error:
        compat.config_path(f'{module}::x/y.py')
    assert error.value.name == module


def test_a_config_of_ours_is_found_and_serves_as_base(tmp_path):
    """Here from the repo, as in an editable install; tests/test_wheel.py does it from a wheel."""
    name = 'pinas/pinas_nasbench-macro-search_cifar10.py'
    theirs = Config.fromfile(ROOT / 'configs' / name)
    (tmp_path / 'ours.py').write_text(
        f"_base_ = __import__('pinas_mm').config_path('pinas_mm::{name}')\n"
        'search_loop = dict(num_archs=7)\n'
    )
    assert Config.fromfile(tmp_path / 'ours.py').to_dict() == theirs.to_dict() | dict(
        search_loop=theirs.search_loop | dict(num_archs=7)
    )


WITHOUT_TORCH = """
import sys
from importlib.machinery import PathFinder

HIDDEN = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain', 'mmdet', 'mmseg')


class Hiding(PathFinder):

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition('.')[0] in HIDDEN else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
try:
    import torch
except ModuleNotFoundError:
    pass
else:
    sys.exit('torch is not hidden')

from pinas_mm.searching.searchers import SEARCHERS, build_searcher
from pinas_mm.spaces import SPACES
import pinas_mm.searching.history, pinas_mm.searching.search, pinas_mm.spaces.subnet_file

small = dict(random={}, evolution=dict(population=8, tournament=2),
             partition_tree=dict(num_initial=8, min_leaf=2))
assert small.keys() <= SEARCHERS.keys()
for space in SPACES.values():
    for name, arguments in small.items():
        searcher = build_searcher(dict(type=name, **arguments), space, None, 0)
        for _ in range(3):
            archs = searcher.ask(8)
            searcher.tell(archs, [sum(arch) for arch in archs])
        assert len(searcher.archs) == 24
assert not {name.partition('.')[0] for name in sys.modules} & set(HIDDEN)
print('searched')
"""


@pytest.mark.slow
def test_spaces_and_searchers_work_without_torch_and_mmengine(tmp_path):
    (tmp_path / 'search.py').write_text(WITHOUT_TORCH)
    run = subprocess.run(
        [sys.executable, tmp_path / 'search.py'],
        cwd=ROOT,
        env=dict(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0 and run.stdout == 'searched\n', run.stderr
