import json
import runpy
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from pinas_mm.pipelines import dsnas as dsnas_stages

# Each test runs whole tools.
pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(TOP / 'tests/tiny'))
    from tiny_dsnas import dsnas

    dsnas(tmp_path, epochs=2, search=1, warm_up=0).dump(str(tmp_path / 'tiny.py'))
    return tmp_path / 'tiny.py'


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a tool in this process; returns its exit code and the last line of its errors."""

    def call(*arguments, tool='dsnas'):
        monkeypatch.setattr(sys, 'argv', [f'{tool}.py', *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(TOP / f'tools/{tool}.py'), run_name='__main__')
        except SystemExit as error:
            code = error.code
        return code, ([''] + capsys.readouterr().err.strip().splitlines())[-1]

    return call


def test_one_run_gives_one_trained_network(config, run, tmp_path):
    folder = tmp_path / 'run'
    assert run(config, '--work-dir', folder)[0] == 0
    result = json.loads((folder / 'dsnas.json').read_text())
    assert result['search_epochs'] == 1 and {'subnet.yaml', 'subnet.pth', 'search', 'train'} <= {
        path.name for path in folder.iterdir()
    }
    code, error = run(config, '--work-dir', folder, '--amp')
    assert code == 2 and error.startswith(
        f'error: {folder}/search: made with another config: optim_wrapper.type was '
        "'pinas_mm.DSNASOptimWrapper' and is 'pinas_mm.DSNASAmpOptimWrapper'"
    )
    (folder / 'dsnas.json').unlink()
    assert run(config, '--work-dir', folder)[0] == 0
    assert json.loads((folder / 'dsnas.json').read_text()) == result


def test_training_alone_is_the_first_stage(config, run, tmp_path):
    assert run(config, '--work-dir', tmp_path / 'train', tool='train')[0] == 0
    assert (tmp_path / 'train/hand_over.pth').exists() and not (
        tmp_path / 'train/epoch_2.pth'
    ).exists()


@pytest.mark.parametrize(
    'options, expected',
    [
        (['optim_wrapper.type=OptimWrapper'], 'optim_wrapper.logits_optimizer: unknown key'),
        (
            ['optim_wrapper.reward=cubic'],
            "optim_wrapper.reward='cubic': expected 'linear', 'reinforce' or 'gdas'",
        ),
        (
            ['optim_wrapper.rewards=linear'],
            "optim_wrapper.rewards: unknown key, expected 'reward'?",
        ),
        (['custom_hooks.0.search=3'], 'search=3 epochs of DSNASHook: training has only 2'),
    ],
)
def test_wrong_input_is_one_line(config, run, tmp_path, options, expected):
    code, error = run(config, '--work-dir', tmp_path / 'run', '--cfg-options', *options)
    assert code == 2 and expected in error


def test_a_loss_that_is_not_finite_ends_the_tool(config, run, tmp_path):
    """With its traceback, and so exit code 1."""
    with pytest.raises(FloatingPointError, match='training has diverged'):
        run(
            config,
            '--work-dir',
            tmp_path / 'run',
            '--cfg-options',
            'optim_wrapper.optimizer.lr=1e30',
        )
    assert not (tmp_path / 'run/search/hand_over.pth').exists()


@pytest.mark.parametrize('tool', ['dsnas', 'train'])
def test_amp_chooses_the_mixed_precision_form(config, run, monkeypatch, tool):
    seen = []
    if tool == 'dsnas':
        monkeypatch.setattr(dsnas_stages, 'run_stages', seen.append)
    else:
        from pinas_mm.engine import runner

        class Runner:
            def __init__(self, config):
                seen.append(config)

            def train(self):
                pass

        monkeypatch.setattr(runner, 'build_runner', Runner)
    assert run(config, '--amp', tool=tool)[0] == 0
    assert (
        isinstance(seen[0], Config)
        and seen[0].optim_wrapper.type == 'pinas_mm.DSNASAmpOptimWrapper'
    )
    assert (
        seen[0].optim_wrapper.loss_scale == 'dynamic'
        and seen[0].custom_hooks[0].type == 'pinas_mm.DSNASHook'
    )
