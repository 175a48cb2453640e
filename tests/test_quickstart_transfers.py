"""The quick start's detector and segmentor: real training, tests and pictures through
tools/pinas.py, on a few scenes."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.datasets.scene_layouts import write_digit_scenes
from pinas_mm.engine.runner import build_runner
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.pipelines.pinas import Pipeline, with_subnet
from pinas_mm.pipelines.stages import into_folder
from pinas_mm.spaces.subnet_file import SubnetFile

TOP = Path(__file__).parents[1]
CONFIGS = TOP / 'configs/quickstart'
SHORT = dict(
    detect='train_cfg = dict(max_epochs=1, val_interval=1)\ndefault_hooks = '
    'dict(checkpoint=dict(interval=1))\n',
    segment='train_cfg = dict(max_iters=2, val_interval=2)\ndefault_hooks = '
    'dict(checkpoint=dict(interval=2))\n',
)
# The same segmentor on Cityscapes' layout: other data and nothing else.
CITYSCAPES = """
data = dict(
    _delete_=True, type='pinas_mm.DigitScenesCityscapes', data_root='data/digit_scenes/cityscapes',
    pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
              dict(type='PackSegInputs')])
train_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'), **data))
val_dataloader = dict(
    dataset=dict(data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'), **data))
test_dataloader = dict(
    dataset=dict(data_prefix=dict(img_path='leftImg8bit/test', seg_map_path='gtFine/test'), **data))
"""


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder to run in: scenes, and a subnet as a search leaves it."""
    folder = tmp_path_factory.mktemp('quickstart')
    write_digit_scenes(folder / 'data/digit_scenes', dict(train=16, val=6, test=6))
    torch.manual_seed(0)
    subnet = SearchableMacroNet(arch='10010222', widen_factor=0.25)
    subnet.init_weights()
    SubnetFile(space='nasbench_macro', arch=subnet.arch, widen_factor=0.25).write(
        folder / 'work_dirs/search/subnet.yaml'
    )
    save_checkpoint(
        folder / 'work_dirs/search/subnet.pth',
        {f'backbone.{key}': value for key, value in subnet.state_dict().items()},
        {},
    )
    for name, changes in SHORT.items():
        (folder / f'{name}.py').write_text(f'_base_ = {str(CONFIGS / f"{name}.py")!r}\n{changes}')
    (folder / 'cityscapes.py').write_text((folder / 'segment.py').read_text() + CITYSCAPES)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    'name, metrics, dataset',
    [
        ('detect', {'coco/bbox_mAP', 'coco/segm_mAP'}, 'CocoDataset'),
        ('segment', {'mIoU'}, 'DigitScenesADE20K'),
        ('cityscapes', {'mIoU'}, 'DigitScenesCityscapes'),
    ],
)
def test_a_transfer_is_trained_tested_drawn_and_kept(place, monkeypatch, name, metrics, dataset):
    monkeypatch.chdir(place)
    pipeline = Pipeline({name: place / f'{name}.py'}, Path('work_dirs'), 3, {})
    results = pipeline.transfer(name)
    assert metrics <= results.keys() and all(0 <= results[key] <= 100 for key in metrics)
    assert json.loads((place / f'work_dirs/{name}/stage.json').read_text())['result'] == results
    picture = cv2.imread(str(place / f'work_dirs/{name}/predictions.png'))
    assert picture.shape == (32 + 3 * (4 * 96 + 8), 2 * (2 * 4 * 96 + 8), 3) and picture.std() > 20

    files = {
        path: path.stat().st_mtime_ns
        for path in (place / f'work_dirs/{name}').glob('*')
        if path.is_file()
    }
    assert pipeline.transfer(name) == results
    assert {
        path: path.stat().st_mtime_ns
        for path in (place / f'work_dirs/{name}').glob('*')
        if path.is_file()
    } == files

    config = pipeline.config(name, {})
    config.merge_from_dict(with_subnet(config, Path('work_dirs/search')))
    config = into_folder(config, place / 'built', resume=False)
    runner = build_runner(config)
    assert config.randomness.seed == 3 and all(
        parameter.requires_grad for parameter in runner.model.parameters()
    )
    for phase in ('train', 'val', 'test'):
        built = runner.build_dataloader(config[f'{phase}_dataloader']).dataset
        assert (
            type(built).__name__ == dataset and len(built) == dict(train=16, val=6, test=6)[phase]
        )
    # Trained from the inherited weights.
    runner._init_model_weights()
    inherited = torch.load(place / 'work_dirs/search/subnet.pth', weights_only=True)['state_dict']
    assert all(
        torch.equal(value, inherited[f'backbone.{key}'])
        for key, value in runner.model.backbone.state_dict().items()
    )
    trained = torch.load(
        next((place / f'work_dirs/{name}').glob('*_[12].pth')), weights_only=False
    )['state_dict']
    assert any(not torch.equal(trained[key], value) for key, value in inherited.items())


@pytest.mark.slow
def test_metrics_are_checked_before_there_is_a_subnet(place, tmp_path, monkeypatch):
    """Only the subnet file has its width, and necks and heads are for that width."""
    (tmp_path / 'data').symlink_to(place / 'data')
    monkeypatch.chdir(tmp_path)
    stages = ('learn', 'linear', 'search', 'finetune', 'detect', 'segment')
    configs = {stage: CONFIGS / f'{stage}.py' for stage in stages}
    Pipeline(configs, tmp_path / 'work', 0, {}).check_metrics()
    wider = {'model.backbone.widen_factor': 0.5, 'model.neck.1.input_features': 640}
    wider |= {'model.head.in_channels': 640}
    with pytest.raises(InputError, match=r'in_channels=\[32, 64\] of FPN: .* gives \[64, 128\]'):
        Pipeline(configs, tmp_path / 'work', 0, wider).check_metrics()
    assert not (tmp_path / 'work').exists()


@pytest.mark.slow
def test_transfers_need_names_of_their_own(place, monkeypatch, capsys):
    stages = [str(CONFIGS / f'{stage}.py') for stage in ('learn', 'linear', 'search', 'finetune')]
    monkeypatch.setattr(
        sys,
        'argv',
        ['pinas.py', *stages, '--work-dir', str(place / 'other'), '--transfer', stages[2]],
    )
    with pytest.raises(SystemExit) as error:
        runpy.run_path(str(TOP / 'tools/pinas.py'), run_name='__main__')
    assert error.value.code == 2 and 'names of files that differ' in capsys.readouterr().err
    assert not (place / 'other').exists()


def test_the_segmentor_sees_every_class():
    config = Config.fromfile(CONFIGS / 'segment.py')
    assert config.model.decode_head.num_classes == config.model.auxiliary_head.num_classes == 11
    assert np.shape(config.model.decode_head.loss_decode.class_weight) == (11,)
