import json
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

import pinas_mm  # noqa: F401
from pinas_mm.checkpoint import save_checkpoint

# Each test runs whole tools.
pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]
LINEAR = TOP / 'configs/quickstart/linear.py'


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """Two supernets with their classifiers."""
    init_default_scope('mmpretrain')
    config = Config.fromfile(LINEAR)
    folder = tmp_path_factory.mktemp('supernets')
    paths = [folder / 'one.pth', folder / 'two.pth']
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        model = MODELS.build(
            dict(config.model.to_dict(), data_preprocessor=config.data_preprocessor.to_dict())
        )
        save_checkpoint(path, model.state_dict(), {})
    return paths


@pytest.fixture
def consistency(monkeypatch, capsys, tmp_path):
    """Runs the tool in this process; returns its exit code, what it printed and its last line of
    errors."""

    def run(*arguments):
        monkeypatch.setenv('LOCAL_RANK', '0')
        monkeypatch.setattr(
            sys,
            'argv',
            ['consistency.py', *map(str, arguments), '--work-dir', str(tmp_path / 'work')],
        )
        capsys.readouterr()
        code = 0
        try:
            runpy.run_path(str(TOP / 'tools/consistency.py'), run_name='__main__')
        except SystemExit as error:
            code = error.code
        out, err = capsys.readouterr()
        return code, out, (err.splitlines() or [''])[-1]

    return run


def test_two_supernets_are_compared(consistency, checkpoints, tmp_path):
    code, out, error = consistency(
        LINEAR,
        *checkpoints,
        '--names',
        'first',
        'second',
        '--archs',
        4,
        '--images',
        16,
        '--seed',
        3,
        '--plot',
        tmp_path / 'shift.png',
    )
    assert code == 0, error
    found = json.loads((tmp_path / 'work/consistency.json').read_text())
    assert (found['config'], found['space'], found['seed'], found['images']) == (
        'linear.py',
        'nasbench_macro',
        3,
        16,
    )
    assert len(found['archs']) == 4 and [supernet['name'] for supernet in found['supernets']] == [
        'first',
        'second',
    ]
    first, second = (supernet['positions'] for supernet in found['supernets'])
    assert (
        [shift['position'] for shift in first] == list(range(8))
        and first[0]['input_distance'] is None
        and first != second
    )
    row = re.search(r'│\s+7 │' + r'\s+([-\d.]+) │' * 8, out)
    names = [name for name in first[7] if name not in ('position', 'stage')]
    assert [row.group(i + 1) for i in range(8)] == [
        '-' if first[7][name] is None else f'{first[7][name]:.3f}' for name in names
    ]
    assert Image.open(tmp_path / 'shift.png').format == 'PNG'
    assert consistency(LINEAR, checkpoints[0], '--archs', 4, '--images', 16, '--seed', 3)[0] == 0
    (again,) = json.loads((tmp_path / 'work/consistency.json').read_text())['supernets']
    assert (
        again['name'] == again['checkpoint'] == str(checkpoints[0]) and again['positions'] == first
    )


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([LINEAR, 'none.pth'], 'none.pth: no such file'),
        ([LINEAR, '{0}', '{0}'], 'expected one or two checkpoints, and a name of its own for each'),
        (
            [LINEAR, '{0}', '{1}', '--names', 'one'],
            'expected one or two checkpoints, and a name of its own for each',
        ),
        (
            [LINEAR, '{0}', '--archs', '1'],
            "argument --archs: '1', expected a whole number of at least 2",
        ),
        ([LINEAR, '{0}', '--images', '8'], 'a batch of 8 images'),
        ([LINEAR, '{0}', '--images', '5000'], 'no whole batch of 5000 in 1097 samples'),
        (
            [LINEAR, '{0}', '--cfg-options', 'model.backbone.arch=2,2,2,1,2,2,2,0'],
            'a supernet .* is needed',
        ),
        ([TOP / 'configs/quickstart/learn.py', '{0}'], 'one.pth: does not fit this PiNAS'),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    consistency, checkpoints, tmp_path, arguments, message
):
    code, _, error = consistency(*(str(argument).format(*checkpoints) for argument in arguments))
    assert code == 2 and re.match(rf'(consistency\.py: )?error: .*{message}', error)
    assert not (tmp_path / 'work/consistency.json').exists()
