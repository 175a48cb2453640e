"""The configs and commands of docs/tutorials/own_detector.md, as they stand there, on a few small
scenes."""

import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.models import ResNet
from our_configs import TOP

from pinas_mm.checkpoint import load_strict, save_checkpoint
from pinas_mm.costs.table import Constraints, CostTable
from pinas_mm.datasets.scene_layouts import write_digit_scenes
from pinas_mm.engine.config import load_config, option_values
from pinas_mm.spaces.elastic_resnet import ELASTIC_RESNETS
from pinas_mm.spaces.subnet_file import SubnetFile

REPOSITORY = TOP.parent
PAGE = (REPOSITORY / 'docs/tutorials/own_detector.md').read_text()
CHEAPER, HELD_OUT, RESULT = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)
COMMANDS, *READY = re.findall(r'```bash\n(.*?)```', PAGE, re.DOTALL)
SIZE, WIDTH, EPOCHS = 64, 0.125, 1

# A user's detector: mmdet's RetinaNet on scenes of digits, validated and tested on the same images.
MY_DETECTOR = f"""
_base_ = __import__('pinas_mm').config_path('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
channels = [int({WIDTH} * n) for n in (256, 512, 1024, 2048)]
model = dict(
    backbone=dict(base_channels=8, stem_channels=8, init_cfg=None),
    neck=dict(in_channels=channels, out_channels=16),
    bbox_head=dict(in_channels=16, feat_channels=16, stacked_convs=1, num_classes=10),
    test_cfg=dict(score_thr=0.0, max_per_img=10))
data = dict(data_root='data/coco/', metainfo=dict(classes=tuple('0123456789')))
resize = dict(scale=({SIZE}, {SIZE}))
train_pipeline = _base_.train_pipeline
test_pipeline = _base_.test_pipeline
train_pipeline[2].update(resize)
test_pipeline[1].update(resize)
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    batch_size=8, dataset=dict(pipeline=train_pipeline, filter_cfg=None, **data), **loader)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, **data), **loader)
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(ann_file='data/coco/annotations/instances_val2017.json')
train_cfg = dict(max_epochs={EPOCHS})
"""


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command of the page in this process; returns what it wrote."""

    def run(command):
        python, module, package, *arguments = shlex.split(command)
        assert (python, module, package) == ('python', '-m', 'pinas_mm')
        monkeypatch.setattr(sys, 'argv', [package, *arguments])
        monkeypatch.setattr(sys, 'path', [*sys.path])
        try:
            runpy.run_module(package, run_name='__main__')
        except SystemExit as error:
            out, errors = capsys.readouterr()
            raise AssertionError(f'{command} exits with {error.code}: {errors}') from error
        return capsys.readouterr().out

    return run


def small(text):
    """A part of the page for small images and networks."""
    text = text.replace('800, 1216', f'{SIZE}, {SIZE}').replace('800 1216', f'{SIZE} {SIZE}')
    text = text.replace('norm_eval=True, **', f'norm_eval=True, widen_factor={WIDTH}, **')
    return text.replace('epoch_12', f'epoch_{EPOCHS}').replace('held_out = 0.1', 'held_out = 4')


@pytest.mark.slow
def test_the_commands_make_a_users_own_detector_cheaper(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_digit_scenes(Path('data'), dict(train=20, val=4, test=4), SIZE)
    torch.manual_seed(0)
    weights = ResNet(50, stem_channels=8, base_channels=8).state_dict()
    save_checkpoint('resnet50.pth', {f'backbone.{key}': w for key, w in weights.items()}, {})
    Path('my_detector.py').write_text(MY_DETECTOR)
    Path('cheaper.py').write_text(small(CHEAPER + HELD_OUT))
    Path('my_cheaper_detector.py').write_text(RESULT)

    install, latency, space, adapt, export = small(COMMANDS).splitlines()
    assert install.startswith('pip install -e ../pinas_mm ')
    run(f'{latency} --rounds 3 --check 3')
    (row,) = [line for line in run(space).splitlines() if line.startswith('latency ')]
    # The table is of a busy machine; its median network is within any such budget.
    budget = re.findall(r'([\d.]+)ms', row)[2]
    adapt = adapt.replace('latency=40', f'latency={budget}')
    assert f'latency={budget}' in adapt
    quick = 'search_loop.num_archs=4 search_loop.calibration_batches=1'
    init = 'model.backbone.init_cfg.checkpoint=resnet50.pth'
    run(f'{adapt} {init} {quick} search_loop.searcher.type=random randomness.seed=0')
    report = json.loads(Path('work_dirs/cheaper/adapt.json').read_text())
    (result,) = report['rows'].values()
    assert result['costs']['latency'] <= float(budget) and 'coco/bbox_mAP' in result['metrics']
    run(export)

    # The found backbone in the user's config: the trained checkpoint fits, and it is what was
    # exported.
    tested = run(small(re.search(r'`(python -m pinas_mm test .*?)`', PAGE)[1]))
    assert f'coco/bbox_mAP {result["metrics"]["coco/bbox_mAP"]:.4g}  ' in tested
    config = Config.fromfile('my_cheaper_detector.py')
    init_default_scope('mmdet')
    model = MODELS.build(config.model).eval()
    load_strict(model, f'work_dirs/cheaper/subnet/epoch_{EPOCHS}.pth')
    exported = Path('work_dirs/cheaper/search/export')
    alone = MODELS.build(Config.fromfile(exported / 'backbone.py').model).eval()
    load_strict(alone, exported / 'backbone.pth')
    images = torch.randn(1, 3, SIZE, SIZE)
    for ours, expected in zip(alone(images), model.backbone(images), strict=True):
        torch.testing.assert_close(ours, expected)
    found = SubnetFile.read('work_dirs/cheaper/search/subnet.yaml')
    assert ELASTIC_RESNETS[50].encode(found.arch) == result['arch']


def test_the_page_needs_at_most_five_commands_and_four_statements():
    assert len(COMMANDS.splitlines()) <= 5
    assert len(re.findall(r'^\w+ = ', CHEAPER, re.MULTILINE)) == 4


def test_the_commands_of_the_ready_configs_name_what_is_there():
    assert len(READY) == 4
    for command in READY:
        words = shlex.split(command)
        paths = [word for word in words if word.endswith('.py')]
        assert len(paths) == 2 and all((REPOSITORY / path).is_file() for path in paths)
        config = Config.fromfile(REPOSITORY / paths[1])
        gpus = int(words[words.index('--nproc_per_node') + 1])
        batch = gpus * config.train_dataloader.batch_size
        expected = config.auto_scale_lr.base_batch_size if 'auto_scale_lr' in config else batch
        assert batch == expected and f'{gpus}xb' in f'{paths[1]} 8xb'


def test_a_ready_config_is_limited_by_latency_as_the_page_says():
    none = re.search(r'`(search_loop.constraints.backbone_macs=None)`', PAGE)[1]
    two = re.search(r'(search_loop.latency_table=\S+) (search_loop.constraints.latency=\S+)', PAGE)
    for command in READY:
        path = next(word for word in shlex.split(command) if 'configs/' in word)
        loop = load_config(REPOSITORY / path, option_values([none, *two.groups()])).search_loop
        assert loop.constraints == dict(backbone_macs=None, latency=40)
        assert loop.latency_table == 'latency.json'
        known = CostTable(ELASTIC_RESNETS[50], dict(latency=1, backbone_macs=1), {})
        assert Constraints(known, **loop.constraints).limits.keys() == {'latency'}


def test_the_table_is_of_the_configs():
    """G MACs of the backbone and the limit; of the whole model those around it."""
    rows = re.findall(
        r'^\| (.*?), (\w+) \| ([\d.]+), ([\d.]+) \| ([\d.]+), ([\d.]+) \|', PAGE, re.M
    )
    assert len(rows) == 4
    for command, (name, _, backbone, whole, limit, within) in zip(READY, rows, strict=True):
        path = next(word for word in shlex.split(command) if 'configs/' in word)
        config = Config.fromfile(REPOSITORY / path)
        assert float(limit) == config.search_loop.constraints.backbone_macs / 1e9
        assert float(limit) == pytest.approx(0.6 * float(backbone), rel=0.01), name
        saved = float(backbone) - float(limit)
        assert float(within) == pytest.approx(float(whole) - saved, abs=0.11)
