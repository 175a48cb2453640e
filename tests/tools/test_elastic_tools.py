"""An elastic backbone from a checkpoint of mmpretrain's to a program, by the tools."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmpretrain.models import ResNet

from pinas_mm.checkpoint import load_checkpoint, save_checkpoint
from pinas_mm.spaces.elastic_resnet import ELASTIC_RESNETS
from pinas_mm.spaces.subnet_file import SubnetFile

# It runs whole tools.
pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]
TRAIN = """
custom_imports = dict(imports=['pinas_mm'])
default_scope = 'mmpretrain'
randomness = dict(seed=0)
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='pinas_mm.ElasticResNet',
        depth=18,
        widen_factor=0.125,
        sort_channels=True,
        init_cfg=dict(type='Pretrained', checkpoint='mm.pth', prefix='backbone.'),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=64),
    data_preprocessor=dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=False),
)
digits = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='pinas_mm.Digits', split='learning', indices=32, pipeline=[dict(type='PackInputs')]
    ),
)
train_dataloader = digits
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05))
custom_hooks = [dict(type='pinas_mm.ArchSamplingHook')]
arch_evaluation = dict(calibration_dataloader=digits, calibration_batches=1)
"""
SEARCH = """
_base_ = './train.py'
val_dataloader = dict(
    batch_size=20,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='pinas_mm.Digits', split='held_out', indices=20, pipeline=[dict(type='PackInputs')]
    ),
)
val_evaluator, val_cfg = dict(type='Accuracy'), dict()
test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict()
search_loop = dict(
    type='pinas_mm.SearchLoop',
    searcher=dict(type='evolution'),
    num_archs=6,
    input_size=32,
    constraints=dict(backbone_macs=1.0e6, latency=1e6),
    latency_table='latency.json',
)
"""
# A subnet goes on from a part of the supernet.
FINETUNE = """
_base_ = './train.py'
model = dict(backbone=dict(arch='found/subnet.yaml', init_cfg=dict(checkpoint='work/epoch_1.pth')))
custom_hooks = []
"""
# One process for all tools. What each exits with is printed at the end.
TOOLS = """
import json, os, runpy, sys
codes = []
for tool, *arguments in json.loads(sys.argv[1]):
    sys.argv, sys.path[0] = [tool, *arguments], os.path.dirname(tool)
    try:
        runpy.run_path(tool, run_name='__main__')
        codes.append(0)
    except SystemExit as error:
        codes.append(error.code)
print(json.dumps(codes))
"""


def run(folder, commands):
    tools = [[str(TOP / f'tools/{name}.py'), *arguments] for name, *arguments in commands]
    process = subprocess.run(
        [sys.executable, '-c', TOOLS, json.dumps(tools)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
        env=os.environ | dict(PYTHONPATH=str(TOP), OMP_NUM_THREADS='1'),
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1]), process.stderr


def test_from_a_pretrained_network_to_a_program(tmp_path):
    network = ResNet(18, stem_channels=8, base_channels=8)
    state = {f'backbone.{key}': value for key, value in network.state_dict().items()}
    save_checkpoint(tmp_path / 'mm.pth', state, {})
    for name, text in dict(train=TRAIN, search=SEARCH, finetune=FINETUNE).items():
        (tmp_path / f'{name}.py').write_text(text)
    trained = ['work/epoch_1.pth', '--work-dir']
    export = ['found/subnet.yaml', '--config', 'search.py', '--formats', 'mm', 'torch']
    codes, errors = run(
        tmp_path,
        [
            ['train', 'train.py', '--work-dir', 'work'],
            ['latency', 'search.py', '--work-dir', 'timed', '--out', 'latency.json']
            + '--images 1 3 32 32 --rounds 3 --check 3'.split(),
            ['search', 'search.py', *trained, 'found'],
            ['test', 'search.py', *trained, 'tested', '--arch', 'found/subnet.yaml'],
            ['export', *export, '--input-size', '64'],
            # A supernet is no subnet, though all of a subnet's tensors can be cut out of it.
            ['export', *export, '--checkpoint', 'work/epoch_1.pth', '--out', 'other'],
            ['train', 'finetune.py', '--work-dir', 'finetuned'],
        ],
    )
    assert codes == [0, 0, 0, 0, 0, 2, 0], errors
    assert 'work/epoch_1.pth: a supernet' in errors
    found = SubnetFile.read(tmp_path / 'found/subnet.yaml')
    space = ELASTIC_RESNETS[18]
    assert found.space == space.name and found.arch == space.canonical(found.arch)
    assert found.costs['backbone_macs'] <= 1e6
    weights = load_checkpoint(tmp_path / 'found/subnet.pth')['state_dict']
    params = sum(
        value.numel()
        for key, value in weights.items()
        if value.is_floating_point() and 'running' not in key
    )
    assert params == found.costs['params']
    program = torch.export.load(tmp_path / 'found/export/classifier.pt2').module()
    assert program(torch.rand(2, 3, 64, 64) * 255).shape == (2, 10)
    finetuned = load_checkpoint(tmp_path / 'finetuned/epoch_1.pth')['state_dict']
    assert {key: value.shape for key, value in finetuned.items()} == {
        key: value.shape for key, value in weights.items()
    }
