"""What tools show from start to end, run as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from pinas_mm.checkpoint import save_checkpoint

# Each test runs whole tools.
pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]
WIDTH, USEFUL = 100, 15
# What mmengine would write first.
CHATTER = ('System environment', 'Config:', 'Hooks will be executed', 'Could not import')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Small configs of the quick start, and a supernet."""
    folder = tmp_path_factory.mktemp('quiet')
    configs = TOP / 'configs/quickstart'
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    config = Config.fromfile(configs / 'linear.py')
    model = MODELS.build(
        dict(config.model.to_dict(), data_preprocessor=config.data_preprocessor.to_dict())
    )
    save_checkpoint(folder / 'supernet.pth', model.state_dict(), {})
    text = """
val_dataloader = dict(dataset=dict(indices=40))
test_dataloader = dict(dataset=dict(indices=40))
arch_evaluation = dict(
    calibration_dataloader=dict(batch_size=32, dataset=dict(indices=64)), calibration_batches=2)
"""
    (folder / 'train.py').write_text(
        f"""_base_ = {str(configs / 'linear.py')!r}
train_dataloader = dict(batch_size=16, dataset=dict(indices=64))
train_cfg = dict(max_epochs=2)
model = dict(backbone=dict(init_cfg=dict(checkpoint={str(folder / 'supernet.pth')!r})))
{text}"""
    )
    (folder / 'search.py').write_text(
        f"""_base_ = {str(configs / 'search.py')!r}
search_loop = dict(num_archs=6, score_samples=20, searcher=dict(num_initial=4))
{text}"""
    )
    return folder


def run(folder, *words):
    """Runs a tool in a folder; the lines it showed, and its log file."""
    tool, *rest = words
    process = subprocess.run(
        [sys.executable, str(TOP / f'tools/{tool}.py'), *rest],
        cwd=folder,
        env=os.environ | dict(PYTHONPATH=str(TOP)),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    (log,) = (folder / rest[rest.index('--work-dir') + 1]).glob('*/*.log')
    return (process.stderr + process.stdout).splitlines(), log.read_text()


def check_lines(lines):
    assert max(map(len, lines)) <= WIDTH
    assert not [line for line in lines for part in CHATTER if part in line]
    assert not [line for line in lines if ' - mmengine - ' in line]


def test_a_training(folder):
    lines, log = run(folder, 'train', 'train.py', '--work-dir', 'trained')
    check_lines(lines)
    (first,) = [i for i, line in enumerate(lines) if line.startswith('epoch 1/2  1/8')]
    assert first < USEFUL and len(lines) <= 30
    assert not [line for line in lines if 'test' in line.lower()]
    for part in ('System environment', 'Config:', 'Hooks will be executed', 'Epoch(train)'):
        assert part in log
    written = lines.index('wrote trained/epoch_2.pth')
    assert lines[written + 1] == 'next, search the supernet:'
    assert lines[-1].split()[-1] == 'trained/epoch_2.pth'


def test_a_search_and_its_next_commands(folder):
    lines, log = run(folder, 'search', 'search.py', 'supernet.pth', '--work-dir', 'searched')
    check_lines(lines)
    (first,) = [i for i, line in enumerate(lines) if line.startswith('1/6  ')]
    assert first < USEFUL
    for number in range(1, 7):
        (line,) = [line for line in lines if line.startswith(f'{number}/6  ')]
        assert ' M MACs' in line and ' best ' in line and line in log
    written = next(i for i, line in enumerate(lines) if line.startswith('wrote searched:'))
    assert 'subnet.yaml' in lines[written]
    # What is scored on held-out data is no test; a next step may be one.
    assert not [line for line in lines[:written] if 'test' in line.lower()]
    assert 'Epoch(test)' not in log and 'System environment' in log and 'Config:' in log
    # The commands run as they stand.
    commands, command = {}, []
    for line in lines[written + 1 :]:
        if line.startswith('next, '):
            purpose, command = line, commands.setdefault(line, [])
        else:
            command += line.replace(' \\', '').split()
    assert set(commands) == {
        'next, train the found network:',
        'next, test it as it is:',
        'next, export it:',
    }
    for purpose, extra in (
        ('next, test it as it is:', ['--work-dir', 'tested']),
        ('next, export it:', ['--formats', 'mm']),
    ):
        python, *words = commands[purpose]
        assert python == 'python'
        subprocess.run(
            [sys.executable, *words, *extra],
            cwd=folder,
            env=os.environ | dict(PYTHONPATH=str(TOP)),
            check=True,
            timeout=240,
        )


def test_verbose_shows_all(folder):
    lines, _ = run(folder, 'train', 'train.py', '--work-dir', 'verbose', '--verbose')
    text = '\n'.join(lines)
    for part in ('System environment', 'Config:', 'Hooks will be executed', 'Epoch(train)'):
        assert part in text
    assert 'ETA' not in text
