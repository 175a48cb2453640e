import runpy
import sys
from pathlib import Path

import pytest
from page_text import shown
from report_dirs import dsnas_dir, search_dir

TOP = Path(__file__).parents[2]


@pytest.fixture
def report(monkeypatch, capsys, tmp_path):
    """Runs the tool in this process; returns its exit code, what it printed, and the last line of
    its errors."""
    search_dir(tmp_path / 'first_run')
    search_dir(tmp_path / 'second_run', seed=1)
    dsnas_dir(tmp_path / 'dsnas')
    (tmp_path / 'empty').mkdir()
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['report.py', *arguments])
        code = 0
        try:
            runpy.run_path(str(TOP / 'tools/report.py'), run_name='__main__')
        except SystemExit as error:
            code = error.code
        out, err = capsys.readouterr()
        return code, out.strip(), (err.splitlines() or [''])[-1]

    return run


def test_a_page_is_made_again_from_the_files(report, tmp_path):
    assert report('first_run') == (0, 'first_run/report.html', '')
    first = shown(tmp_path / 'first_run/report.html')
    (tmp_path / 'first_run').rename(tmp_path / 'moved')
    assert report('moved', '--out', 'pages/page.html') == (0, 'pages/page.html', '')
    assert shown(tmp_path / 'pages/page.html') == first.replace('first_run', 'moved')


def test_several_runs_are_compared(report, tmp_path):
    assert report('first_run', 'second_run', 'dsnas', '--out', 'all.html') == (0, 'all.html', '')
    text = shown(tmp_path / 'all.html')
    assert '3 runs compared' in text and 'second_run search' in text and 'dsnas dsnas' in text
    assert report('first_run', 'second_run') == (0, 'report.html', '')


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['none'], 'error: none: no such folder'),
        (['empty'], 'error: empty: no run to report: expected one of adapt.json'),
        (['.'], 'there is one in dsnas, first_run, second_run'),
        (['first_run', 'empty'], 'error: empty: no run to report'),
        (['first_run', '--out', 'empty'], 'error: empty: is a folder, expected a file'),
        (
            ['first_run', '--imports', 'no_such_module'],
            'error: --imports no_such_module: No module',
        ),
        ([], 'the following arguments are required: WORK_DIR'),
    ],
)
def test_wrong_lines_are_named(report, arguments, message):
    code, out, err = report(*arguments)
    assert code == 2 and message in err and not out
