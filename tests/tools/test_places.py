"""Where a tool is told to write, but cannot: one line that names the place, at the start."""

import runpy
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from disks import mounted
from report_dirs import search_dir
from tiny_dsnas import dsnas

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.folder_lock import release_all
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.subnets.write import write_subnet

# Each line is read by a whole tool.
pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]
QUICK = TOP / 'configs/quickstart'
LINEAR, SEARCH, FINETUNE = (QUICK / f'{name}.py' for name in ('linear', 'search', 'finetune'))
FOUR = [QUICK / f'{name}.py' for name in ('learn', 'linear', 'search', 'finetune')]

# The lines, without their last word: the place.
LINES = dict(
    train=['train.py', LINEAR, '--work-dir'],
    search=['search.py', SEARCH, 'supernet.pth', '--work-dir'],
    pinas=['pinas.py', *FOUR, '--work-dir'],
    dsnas=['dsnas.py', 'dsnas.py', '--work-dir'],
    rank=['rank.py', SEARCH, 'supernet.pth', '--truth', 'truth.json', '--work-dir'],
    consistency=['consistency.py', LINEAR, 'supernet.pth', '--work-dir'],
    plot=['consistency.py', LINEAR, 'supernet.pth', '--plot'],
    make_truth=['make_truth.py', FINETUNE, '--work-dir', 'work', '--out'],
    truth_logs=['make_truth.py', FINETUNE, '--out', 'truth.json', '--work-dir'],
    latency=['latency.py', LINEAR, '--images', '1', '3', '32', '32', '--out'],
    convert=['convert.py', 'supernet.pth'],
    export=['export.py', 'subnet.yaml', '--formats', 'mm', '--out'],
    digit_scenes=['digit_scenes.py'],
    report=['report.py', 'searched', '--out'],
)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp('files')
    net = SearchableMacroNet(arch=(0,) * 8, widen_factor=0.25)
    save_checkpoint(folder / 'supernet.pth', net.state_dict(), {})
    subnet = SubnetFile(space='nasbench_macro', arch=(0,) * 8, widen_factor=0.25)
    state = {f'backbone.{key}': value for key, value in net.state_dict().items()}
    write_subnet(folder / 'subnet.pth', subnet, state)
    dsnas(folder / 'work', epochs=2, search=1, warm_up=0).dump(str(folder / 'dsnas.py'))
    search_dir(folder / 'searched')
    (folder / 'truth.json').write_text('{}')
    (folder / 'file').touch()
    return folder


def run(monkeypatch, capsys, folder, name, *words):
    """Runs a tool in this process, in ``folder``; returns its error."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setattr(sys, 'argv', [name, *map(str, words)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_code:
        runpy.run_path(str(TOP / 'tools' / name), run_name='__main__')
    release_all()  # as at the end of a process
    said = capsys.readouterr().err
    assert exit_code.value.code == 2, said
    return ''.join(line for line in said.splitlines(True) if line.startswith('error:'))


@pytest.mark.parametrize('line', LINES.values(), ids=LINES)
def test_no_tool_writes_below_a_file(monkeypatch, capsys, files, line):
    before = sorted(files.rglob('*'))
    told = run(monkeypatch, capsys, files, *line, 'file/new')
    assert told in (
        'error: file/new: part of this path is a file, expected a folder\n',
        'error: file: is a file, expected a folder\n',
    )
    assert sorted(files.rglob('*')) == before


@pytest.mark.parametrize(
    'place, message',
    [
        ('file', 'is a file, expected a folder'),
        ('x' * 300, 'a longer name than the file system has, choose a shorter one'),
        ('read_only/new', 'on a read-only file system, choose a path that you can read and write'),
    ],
)
def test_every_kind_of_place_is_named(monkeypatch, capsys, files, tmp_path, place, message):
    (tmp_path / 'file').touch()
    with ExitStack() as stack:
        if place.startswith('read_only'):
            stack.enter_context(mounted(tmp_path / 'read_only', 'ro'))
        told = run(monkeypatch, capsys, files, *LINES['train'], tmp_path / place)
    assert told == f'error: {tmp_path / place}: {message}\n'


@pytest.mark.parametrize('name', ['make_truth', 'latency', 'convert', 'plot', 'report'])
def test_a_folder_where_a_file_is_to_be(monkeypatch, capsys, files, tmp_path, name):
    told = run(monkeypatch, capsys, files, *LINES[name], tmp_path)
    assert told == f'error: {tmp_path}: is a folder, expected a file\n'
