"""The commands of docs/tutorials/read_a_report.md, on two small searches."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'docs/tutorials/read_a_report.md').read_text()
(COMMANDS,) = re.findall(r'```bash\n(.*?)```', PAGE, re.DOTALL)


def run(monkeypatch, tool, *arguments):
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    try:
        runpy.run_path(str(ROOT / tool), run_name='__main__')
    except SystemExit as error:
        assert not error.code


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / 'tools/report.py').exists(), reason='no reports in this version')
def test_the_commands_make_the_pages_and_the_pages_have_the_sections(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('search.py').write_text(
        "_base_ = __import__('pinas_mm').config_path('pinas_mm::quickstart/search.py')\n"
        "search_loop = dict(_delete_=True, type='pinas_mm.SearchLoop', score='naswot',\n"
        "    searcher=dict(type='random'), num_archs=16, input_size=16,\n"
        '    constraints=dict(macs=2.0e6))\n'
    )
    for seed, folder in enumerate(['work_dirs/search', 'work_dirs/search-seed1']):
        options = ('--cfg-options', f'search_loop.seed={seed}', 'model.backbone.init_cfg=None')
        run(monkeypatch, 'tools/search.py', 'search.py', '--work-dir', folder, *options)
        assert Path(folder, 'report.html').is_file(), 'a search writes it by itself'
    first = Path('work_dirs/search/report.html')
    first.unlink()
    for command in COMMANDS.splitlines():
        python, tool, *arguments = shlex.split(command)
        assert python == 'python'
        run(monkeypatch, tool, *arguments)
    assert first.is_file() and Path('compare.html').is_file()
    html = first.read_text()
    titles = re.findall(r'^\d\. \*\*(.*?)\.?\*\*', PAGE, re.MULTILINE)
    known = {'The numbers at the top': 'archs evaluated', 'Warnings': ''}  # there were none
    assert len(titles) == 9
    for title in titles:
        assert known.get(title, f'{title}</h2>') in html, f'{title} is no part of the page'
