"""A space and its backbone in a package that pinas_mm does not know, from training to export."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Each test runs whole tools.
pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]

PACKAGE = {
    '__init__.py': 'from .net import WaveNet\n',
    'space.py': """
from pinas_mm.spaces import Candidate, SearchSpace, chain, register_space

WAVES = register_space(
    SearchSpace(
        name='waves',
        candidates=((Candidate('narrow', dict(size=1)), Candidate('wide', dict(size=3))),) * 3,
        positions=chain((2, 1), channels=(8, 16), strides=(2, 2), in_channels=4),
        stem_channels=4,
    )
)
""",
    'net.py': """
from mmengine.registry import MODELS
from torch import nn

from pinas_mm.models.backbones import SearchableBackbone

from .space import WAVES


@MODELS.register_module()
class WaveNet(SearchableBackbone):
    space = WAVES

    def build_stem(self):
        return self.block(3, self.channels(4), 3, 1)

    def build_candidate(self, position, candidate):
        channels = self.channels(position.in_channels), self.channels(position.out_channels)
        return self.block(*channels, candidate.block['size'], position.stride)

    def block(self, in_channels, out_channels, size, stride):
        conv = self.conv(in_channels, out_channels, size, stride=stride, padding=size // 2)
        return nn.Sequential(conv, self.norm(out_channels), nn.ReLU())

    def residual_norms(self):
        return iter(())
""",
}
TRAIN = """
custom_imports = dict(imports=['waves'])
default_scope = 'mmpretrain'
randomness = dict(seed=0)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='WaveNet', widen_factor=2.0),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=32),
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
train_cfg = dict(by_epoch=True, max_epochs=2)
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
    type='pinas_mm.SearchLoop', searcher=dict(type='random'), num_archs=4, input_size=32)
"""
# One process for the tools that read a config first. What each exits with is printed at the end.
TOOLS = """
import json, os, runpy, sys
codes = {}
for tool, *arguments in json.loads(sys.argv[1]):
    sys.argv, sys.path[0] = [tool, *arguments], os.path.dirname(tool)
    try:
        runpy.run_path(tool, run_name='__main__')
        codes[tool] = 0
    except SystemExit as error:
        codes[tool] = error.code
print(json.dumps(codes))
"""
# Nothing is imported here but by mmengine, as the exported config asks.
LOAD = """
import sys
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
torch.set_num_threads(1)
for part in ('classifier', 'backbone'):
    config = Config.fromfile(f'found/export/{part}.py')
    init_default_scope('mmpretrain')
    model = MODELS.build(config.model).eval()
    model.load_state_dict(torch.load(f'found/export/{part}.pth')['state_dict'])
    program = torch.export.load(f'found/export/{part}.pt2').module()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        if part == 'classifier':
            ours = [model(images * 2 - 1)]
            theirs = [program(images * 255)]
        else:
            ours, theirs = model(images), program(images)
    assert len(ours) == len(theirs) == dict(classifier=1, backbone=2)[part]
    for one, other in zip(ours, theirs):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    assert config.model.get('backbone', config.model).widen_factor == 2.0
assert 'waves' in sys.modules and 'pinas_mm' in sys.modules
"""


@pytest.fixture
def python(tmp_path):
    """Runs Python in a folder where the package is, outside of pinas_mm."""
    for name, text in PACKAGE.items():
        (tmp_path / 'packages/waves').mkdir(parents=True, exist_ok=True)
        (tmp_path / 'packages/waves' / name).write_text(text)
    (tmp_path / 'train.py').write_text(TRAIN)
    (tmp_path / 'search.py').write_text(SEARCH)
    path = os.pathsep.join([str(tmp_path / 'packages'), str(TOP)])

    def run(*arguments):
        process = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
            env=os.environ | dict(PYTHONPATH=path, OMP_NUM_THREADS='1'),
        )
        return process.returncode, process.stdout.splitlines(), process.stderr

    return run


def test_a_space_of_another_package_goes_all_the_way(python, tmp_path):
    tools = {name: str(TOP / f'tools/{name}.py') for name in 'train search test latency'.split()}
    weights = ['work/epoch_2.pth', '--work-dir']
    commands = [
        [tools['train'], 'train.py', '--work-dir', 'work'],
        [tools['search'], 'search.py', *weights, 'found'],
        [tools['test'], 'search.py', *weights, 'tested', '--arch', '010', '--arch']
        + ['found/subnet.yaml'],
        [tools['latency'], 'search.py', '--work-dir', 'timed', '--out', 'latency.json']
        + '--images 1 3 32 32 --rounds 3 --check 3'.split(),
    ]
    code, lines, errors = python('-c', TOOLS, json.dumps(commands))
    assert code == 0, errors
    assert json.loads(lines[-1]) == dict.fromkeys(tools.values(), 0), errors
    assert json.loads((tmp_path / 'latency.json').read_text())['space'] == 'waves'

    export = [TOP / 'tools/export.py', 'found/subnet.yaml', '--config', 'search.py']
    code, _, errors = python(*export, '--formats', 'mm', 'torch', '--input-size', '32')
    assert code == 0, errors
    code, _, errors = python('-c', LOAD)
    assert code == 0, errors
