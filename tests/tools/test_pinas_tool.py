"""What tools/pinas.py makes of its command line; tests/tools/test_tools.py runs all stages."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from pinas_mm.pipelines import pinas

TOOL = Path(__file__).parents[2] / 'tools/pinas.py'
COMMAND = ['pinas.py', 'learn.py', 'linear.py', 'search.py', 'finetune.py', '--work-dir', 'work']


@pytest.fixture
def given(monkeypatch):
    """Runs the tool up to its Pipeline; returns what that is given."""

    class GivenError(Exception):
        pass

    def stop(*args):
        raise GivenError(*args)

    def run(*options):
        monkeypatch.setattr(sys, 'argv', [*COMMAND, *options])
        monkeypatch.setattr(pinas, 'Pipeline', stop)
        with pytest.raises(GivenError) as caught:
            runpy.run_path(str(TOOL), run_name='__main__')
        return caught.value.args[3:]

    return run


def test_each_stage_has_its_own_overrides(given):
    assert given(
        '--learn.train_cfg.max_epochs=1',
        '--search.search_loop.num_archs=20',
        '--learn.a=[1, 2]',
        '--cfg-options',
        'b=x=y',
        '--finetune.model.head.topk=1,5',
    ) == (
        {'b': 'x=y'},
        {
            'learn': {'train_cfg.max_epochs': 1, 'a': [1, 2]},
            'search': {'search_loop.num_archs': 20},
            'finetune': {'model.head.topk': [1, 5]},
        },
    )
    assert given() == ({}, {})


@pytest.mark.parametrize(
    'option, message',
    [
        ('--lern.a=1', "--lern.a=1: unknown stage 'lern', expected one of ('learn', 'linear', "),
        ('--learn.train_cfg', '--learn.train_cfg: expected --learn.KEY=VALUE, such as --learn.'),
        ('--learn.=1', '--learn.=1: expected --learn.KEY=VALUE'),
        ('--learn=1', 'unrecognized arguments: --learn=1'),
    ],
)
def test_what_is_no_override_of_a_stage_is_refused(monkeypatch, capsys, option, message):
    monkeypatch.setattr(sys, 'argv', [*COMMAND, option])
    with pytest.raises(SystemExit) as exit_code:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert exit_code.value.code == 2 and message in capsys.readouterr().err


def test_the_help_shows_them():
    text = subprocess.run(
        [sys.executable, TOOL, '--help'], capture_output=True, text=True, check=True
    ).stdout
    assert '--STAGE.KEY=VALUE' in text and 'learn, linear, search, finetune' in ' '.join(
        text.split()
    )


def test_the_table_ends_with_what_random_archs_give(capsys):
    show = runpy.run_path(str(TOOL))['show']
    row = dict(arch='01210', params=1e5, macs=3.5e6, score=1.0)
    rows = [
        dict(row, name=name, test=test)
        for name, test in (('searched', 95.0), ('random 1', 90.0), ('random 2', 93.0))
    ]
    show(rows, Path('work'))
    # Mean 91.5; deviations 1.5 and -1.5: 4.5 / 1, its root 2.12.
    last = capsys.readouterr().out.splitlines()[-2]
    assert 'random (mean of 2 ± standard deviation)' in last and '91.50 ± 2.12' in last
    show(rows[:2], Path('work'))
    assert 'mean of' not in capsys.readouterr().out
