"""Somebody else's repo: only the wheel is installed, the training script knows nothing of us, the
config is that of docs/tutorials/found_network.md."""

import email
import json
import math
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from our_configs import names

from pinas_mm.checkpoint import load_checkpoint, save_checkpoint
from pinas_mm.models.backbones import SearchableResNeSt
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.version import __version__

# A wheel is built for all of them.
pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[1]
ARCH = '0030000200010003'
PAGE = TOP / 'docs/tutorials/found_network.md'
SNIPPETS = re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL)

TRAIN = """
import argparse
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

parser = argparse.ArgumentParser()
parser.add_argument('config')
parser.add_argument('--cfg-options', nargs='+', action=DictAction)
args = parser.parse_args()
cfg = Config.fromfile(args.config)
cfg.merge_from_dict(args.cfg_options)
cfg.work_dir = 'work'
Runner.from_cfg(cfg).train()
"""

CLASSIFIER = """_base_ = 'mmpretrain::resnet/resnet50_8xb32_in1k.py'
custom_imports = dict(imports=['pinas_mm'])
model = dict(
    backbone=dict(
        _delete_=True, type='pinas_mm.SearchableResNeSt', arch='subnet.yaml',
        init_cfg=dict(type='Pretrained', checkpoint='subnet.pth', prefix='backbone.')))
"""

# What makes any mm config quick here, at a learning rate that leaves the weights near those given.
QUICK = [
    'randomness.seed=0',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'train_dataloader.batch_size=2',
    'val_cfg=None',
    'val_dataloader=None',
    'val_evaluator=None',
    'test_cfg=None',
    'test_dataloader=None',
    'test_evaluator=None',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint.save_optimizer=False',
    'optim_wrapper.optimizer.lr=1e-4',
]


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy to build from: setuptools leaves build/ and an egg-info folder where it builds."""
    folder = tmp_path_factory.mktemp('source') / 'repo'
    litter = shutil.ignore_patterns(
        '.*',
        'work_dirs',
        'data',
        'build',
        '*.egg-info',
        '__pycache__',
        'tests',
        'docs',
        'benchmarks',
    )
    shutil.copytree(
        TOP,
        folder,
        symlinks=True,
        ignore=lambda path, names: (
            (litter(path, names) - {'.mim'})
            | ({'configs'} if Path(path).name == 'pinas_mm' else set())
        ),
    )
    return folder


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory):
    """A wheel of that copy."""
    folder = tmp_path_factory.mktemp('wheel')
    command = ['wheel', '--quiet', '--no-deps', '--no-index', '--no-build-isolation']
    subprocess.run(
        [sys.executable, '-m', 'pip', *command, '--wheel-dir', folder, source], check=True
    )
    return next(folder.glob('*.whl'))


@pytest.fixture(scope='module')
def elsewhere(wheel, tmp_path_factory):
    """A folder with a training script, a found subnet and its weights; runs Python there with the
    wheel installed."""
    folder = tmp_path_factory.mktemp('elsewhere')
    site = folder / 'site'
    command = [
        'install',
        '--quiet',
        '--no-deps',
        '--no-index',
        '--no-compile',
        '--target',
        site,
        wheel,
    ]
    subprocess.run([sys.executable, '-m', 'pip', *command], check=True)
    repo = folder / 'repo'
    repo.mkdir()
    (repo / 'train.py').write_text(TRAIN)
    torch.manual_seed(0)
    backbone = SearchableResNeSt(arch=ARCH)
    SubnetFile(space='resnest50', arch=backbone.fixed_arch).write(repo / 'subnet.yaml')
    save_checkpoint(
        repo / 'subnet.pth',
        {f'backbone.{key}': value for key, value in backbone.state_dict().items()},
        {},
    )

    def run(*arguments):
        environment = os.environ | dict(
            PYTHONPATH=str(site), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''
        )
        process = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=repo,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
        return process.stdout

    assert (
        Path(run('-c', 'import pinas_mm; print(pinas_mm.__file__)').strip())
        == site / 'pinas_mm/__init__.py'
    )
    yield repo, run
    shutil.rmtree(folder)  # half a gigabyte of weights


def image(path, seed):
    """Coarse patches: split attention normalises two pooled values per channel, which noise would
    make the same value twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    patches = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(patches, (128, 96), interpolation=cv2.INTER_CUBIC))


def coco(root):
    """Four images with one square each, where mmdet's stock COCO configs look."""
    box = dict(
        category_id=18,
        bbox=[20, 20, 50, 50],
        area=2500,
        iscrowd=0,
        segmentation=[[20, 20, 70, 20, 70, 70, 20, 70]],
    )
    for index in range(4):
        image(root / f'coco/train2017/{index}.jpg', index)
    (root / 'coco/annotations').mkdir()
    (root / 'coco/annotations/instances_train2017.json').write_text(
        json.dumps(
            dict(
                images=[
                    dict(id=index, file_name=f'{index}.jpg', height=96, width=128)
                    for index in range(4)
                ],
                annotations=[dict(box, id=index + 1, image_id=index) for index in range(4)],
                categories=[dict(id=18, name='dog')],
            )
        )
    )


def cityscapes(root):
    for index in range(4):
        image(root / f'cityscapes/leftImg8bit/train/city/{index}_leftImg8bit.png', index)
        labels = root / f'cityscapes/gtFine/train/city/{index}_gtFine_labelTrainIds.png'
        labels.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(labels), np.random.default_rng(index).integers(0, 19, (96, 128), np.uint8))


def imagenet(root):
    for index in range(4):
        image(root / f'imagenet/train/{index}.jpg', index)
    (root / 'imagenet/meta').mkdir()
    (root / 'imagenet/meta/train.txt').write_text(
        ''.join(f'{index}.jpg {index}\n' for index in range(4))
    )


def snippet(scope, base=None):
    """The page's config for a package, from another base of that package where one is given."""
    (text,) = (
        text for text in SNIPPETS if re.match(rf"_base_ = [^']*('pinas_mm'[^']*)?'{scope}::", text)
    )
    return text if base is None else re.sub(rf"{scope}::[^']*", f'{scope}::{base}', text, count=1)


TASKS = dict(
    mmdet=(
        snippet('mmdet', 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'),
        coco,
        [
            'train_dataloader.dataset.pipeline.2.scale=(128,96)',
            'train_cfg.max_epochs=1',
            'model.train_cfg.rcnn.sampler.num=32',
        ],
        {'backbone', 'neck', 'rpn_head', 'roi_head'},
    ),
    mmseg=(
        snippet('mmseg'),
        cityscapes,
        [
            'train_dataloader.dataset.pipeline.2.scale=(128,96)',
            'train_dataloader.dataset.pipeline.3.crop_size=(64,96)',
            'model.data_preprocessor.size=(64,96)',
            'train_cfg.max_iters=2',
        ],
        {'backbone', 'decode_head', 'auxiliary_head'},
    ),
    mmpretrain=(
        CLASSIFIER,
        imagenet,
        ['train_dataloader.dataset.pipeline.1.scale=64', 'train_cfg.max_epochs=1'],
        {'backbone', 'head'},
    ),
)


@pytest.mark.parametrize('scope', TASKS)
def test_the_config_of_the_page_trains_the_found_network(elsewhere, scope):
    repo, run = elsewhere
    text, data, options, parts = TASKS[scope]
    shutil.rmtree(repo / 'work', ignore_errors=True)
    (repo / 'config.py').write_text(text)
    data(repo / 'data')
    run('train.py', 'config.py', '--cfg-options', *QUICK, *options)
    records = [
        json.loads(line)
        for line in next((repo / 'work').glob('*/vis_data/scalars.json')).read_text().splitlines()
    ]
    assert len(records) == 2 and all(
        math.isfinite(record['loss']) and record['loss'] > 0 for record in records
    )
    weights = load_checkpoint(next((repo / 'work').glob('*.pth')))['state_dict']
    assert {key.partition('.')[0] for key in weights} - {'data_preprocessor'} == parts
    given = load_checkpoint(repo / 'subnet.pth')['state_dict']
    assert {key for key in weights if key.startswith('backbone.')} == given.keys()
    # It started from the weights given: at this learning rate two steps change them, and little
    # (0.02 to 0.06 of their norm; other random weights are 1.4 of it away).
    kernels = [key for key, value in given.items() if value.dim() == 4]
    before, after = (
        torch.cat([tensors[key].flatten() for key in kernels]) for tensors in (given, weights)
    )
    assert 0 < (after - before).norm() < 0.1 * before.norm()


PURE_PYTHON = """
from mmengine.config import read_base

with read_base():
    from pinas_mm.configs.quickstart.linear import *

model.merge(dict(backbone=dict(widen_factor=0.5, init_cfg=None)))
"""
TEXT = (
    "_base_ = __import__('pinas_mm').config_path('pinas_mm::quickstart/linear.py')\n"
    'model = dict(backbone=dict(widen_factor=0.5, init_cfg=None))\n'
)
BUILD = """
import sys
from pathlib import Path
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

init_default_scope('mmpretrain')
first, second = (Config.fromfile(name) for name in ('pure_python.py', 'text.py'))
assert first.to_dict() == second.to_dict()
model = MODELS.build(first.model)
import pinas_mm
site = Path(sys.argv[1])
assert site in Path(pinas_mm.__file__).parents
assert site in Path(pinas_mm.config_path('pinas_mm::quickstart/linear.py')).parents
print(type(model.backbone).__name__, model.backbone.widen_factor)
"""


def test_our_configs_are_inherited_in_both_dialects(elsewhere):
    repo, run = elsewhere
    for name, text in (('pure_python', PURE_PYTHON), ('text', TEXT), ('build', BUILD)):
        (repo / f'{name}.py').write_text(text)
    assert run('build.py', repo.parent / 'site').splitlines()[-1] == 'SearchableMacroNet 0.5'


def test_what_the_wheel_holds(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if '.dist-info/' not in name}
    expected = {
        path.relative_to(TOP).as_posix()
        for path in (TOP / 'pinas_mm').rglob('*.py')
        if (TOP / 'pinas_mm/configs') not in path.parents
    }
    # Each text config in the pure-Python form; tests/tools/test_generate_configs.py compares them.
    module_path = runpy.run_path(str(TOP / 'tools/generate_configs.py'))['module_path']
    expected |= {f'pinas_mm/configs/{module_path(Path(name)).as_posix()}' for name in names()}
    for folder in ('configs', 'tools'):
        expected |= {
            f'pinas_mm/.mim/{path.relative_to(TOP).as_posix()}'
            for path in (TOP / folder).rglob('*.py')
        }
    expected |= {
        f'pinas_mm/.mim/{path.relative_to(TOP).as_posix()}'
        for path in [*TOP.glob('model-index.yml'), *TOP.rglob('metafile.yml')]
        if '.mim' not in path.parts and '.venv' not in path.parts
    }
    assert held == expected


def test_the_metadata_of_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.endswith('.dist-info/METADATA')]
        metadata = email.message_from_bytes(file.read(name))
    assert (metadata['Name'], metadata['Version']) == ('pinas_mm', __version__)
    assert metadata['License-Expression'] == 'Apache-2.0'
    assert set(metadata['Requires-Python'].split(',')) == {'>=3.10', '<3.13'}
    assert metadata.get_all('Provides-Extra') == ['export', 'tests', 'docs', 'dev']
    needed = [name for name in metadata.get_all('Requires-Dist') if 'extra ==' not in name]
    assert 'torch>=2.10' in needed and not [name for name in needed if 'mm' in name]


BACKEND = 'import sys\nfrom setuptools import build_meta\nbuild_meta.{}(sys.argv[1])'


def test_an_editable_install_generates_nothing(source, tmp_path):
    run = subprocess.run(
        [sys.executable, '-c', BACKEND.format('build_editable'), tmp_path],
        cwd=source,
        capture_output=True,
        text=True,
    )
    (built,) = tmp_path.glob('*.whl')
    assert run.returncode == 0 and not (source / 'pinas_mm/configs').exists()
    assert not [name for name in zipfile.ZipFile(built).namelist() if '/configs/' in name]


def test_a_build_without_the_mm_packages_says_what_to_do(source, tmp_path):
    (tmp_path / 'mmengine.py').write_text('raise ModuleNotFoundError("No module named mmengine")')
    run = subprocess.run(
        [sys.executable, '-c', BACKEND.format('build_wheel'), tmp_path],
        cwd=source,
        env=os.environ | dict(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1 and not list(tmp_path.glob('*.whl'))
    assert 'pip wheel --no-deps --no-build-isolation .' in run.stderr
