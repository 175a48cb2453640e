import subprocess
import sys
from pathlib import Path

import pytest

from pinas_mm.__main__ import main

TOP = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_tool_runs_with_its_arguments():
    found = subprocess.run(
        [sys.executable, '-m', 'pinas_mm', 'space', 'nasbench_macro', '--input-size', '32'],
        capture_output=True,
        text=True,
        cwd=TOP,
    )
    assert found.returncode == 0, found.stderr
    assert 'nasbench_macro of' in found.stdout and 'costs at 32x32' in found.stdout


@pytest.mark.parametrize(
    ('arguments', 'code', 'said'),
    [
        (['nothing'], 2, "error: 'nothing' is no tool"),
        ([], 2, 'error: no tool given'),
        (['command_line'], 2, "error: 'command_line' is no tool"),
        (['space'], 2, 'space.py: error: the following arguments are required: name'),
    ],
)
def test_what_is_no_tool_is_named(monkeypatch, capsys, arguments, code, said):
    monkeypatch.setattr(sys, 'argv', ['pinas_mm', *arguments])
    monkeypatch.setattr(sys, 'path', [*sys.path])
    with pytest.raises(SystemExit) as error:
        main()
    assert error.value.code == code and said in capsys.readouterr().err


def test_every_tool_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['pinas_mm', '--help'])
    main()
    listed = capsys.readouterr().out.partition('one of ')[2].partition('\n')[0].split(', ')
    tools = {path.stem for path in (TOP / 'tools').glob('*.py')}
    assert tools == {*listed, 'command_line', 'generate_configs'}
