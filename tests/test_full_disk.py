"""A disk that gets full loses nothing: what was written is whole, and once there is space the same
command goes on to the same result."""

import errno
import runpy
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny_search
import torch
from disks import mounted, no_file_above
from tiny_runner import Record, Tiny
from toy_training import ToyModel, checkpoints, toy_runner, train

from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.engine import SearchLoop
from pinas_mm.folder_lock import hold, release_all
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.searching.history import History
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.subnets.write import write_subnet

TOOLS = Path(__file__).parents[1] / 'tools'
# The lines of so many fill pages of a disk: the last one may have space for a batch.
ARCHS = 30


class Disk:
    """A folder on a disk that can be filled: on a small disk of its own, or, where mounting is not
    allowed, by a limit on the size of files."""

    def __init__(self, folder, small):
        self.folder, self.small, self.limit = folder, small, None

    def fill(self, largest):
        """From now on there is no space: on the disk, or for a file of more than ``largest``
        bytes."""
        if not self.small:
            self.limit = no_file_above(largest)
            self.limit.__enter__()
            return
        with pytest.raises(OSError, match='No space left'), open(self.filler, 'wb', 0) as file:
            while True:
                file.write(b'0' * 4096)

    def free(self):
        if self.limit is not None:
            self.limit.__exit__(None, None, None)
            self.limit = None
        self.filler.unlink(missing_ok=True)

    @property
    def filler(self):
        return self.folder / 'filler'

    @contextmanager
    def full(self):
        """Within it the disk gets full; freed at its end."""
        try:
            with pytest.raises((OSError, SystemExit)) as stopped:
                yield
        finally:
            self.free()
        error = stopped.value
        assert (
            error.code == 2
            if isinstance(error, SystemExit)
            else error.errno in (errno.ENOSPC, errno.EFBIG)
        )


@pytest.fixture(params=['small disk', 'limited files'])
def disk(request, tmp_path):
    if request.param == 'small disk':
        with mounted(tmp_path / 'disk', 'size=8m') as folder:
            yield Disk(folder, small=True)
    else:
        (tmp_path / 'disk').mkdir()
        yield Disk(tmp_path / 'disk', small=False)


def contents(folder, *patterns):
    return {
        path.relative_to(folder): path.read_bytes()
        for pattern in patterns
        for path in sorted(folder.rglob(pattern))
    }


def test_training(disk, tmp_path):
    settings = dict(checkpoint=dict(save_best=None), model=dict(type=ToyModel, size=2048))
    whole = train(tmp_path / 'whole', **settings)

    def second_epoch(runner):
        if runner.epoch == 1:
            before.update(contents(disk.folder, '*.pth', 'last_checkpoint'))
            disk.fill(largest=2**16)

    before = {}
    stopped = toy_runner(disk.folder / 'run', **settings)
    stopped.register_hook(Record(before_train_epoch=second_epoch))
    with disk.full():
        stopped.train()
    assert len(before) == 2 and contents(disk.folder, '*.pth', 'last_checkpoint') == before
    resumed = train(disk.folder / 'run', resume=True, **settings)
    assert torch.equal(resumed.model.layer.weight, whole.model.layer.weight)
    assert checkpoints(disk.folder) == ['epoch_3.pth']


@pytest.fixture(scope='module')
def searched(tmp_path_factory):
    tiny_search.run(folder := tmp_path_factory.mktemp('whole'), num_archs=ARCHS)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('full_at', ['history.jsonl', 'subnet.pth'])
def test_search(disk, searched, monkeypatch, full_at):
    append, save_subnet = History.append, SearchLoop.save_subnet

    def appending(history, records, state):
        if full_at == 'history.jsonl' and len(history.records) == 8:
            # A part of the batch fits.
            disk.fill(largest=history.path.stat().st_size + 100)
        append(history, records, state)

    def saving(loop, *args):
        if full_at == 'subnet.pth':
            disk.fill(largest=2**10)
        save_subnet(loop, *args)

    with monkeypatch.context() as patch:
        patch.setattr(History, 'append', appending)
        patch.setattr(SearchLoop, 'save_subnet', saving)
        with disk.full():
            tiny_search.run(disk.folder, num_archs=ARCHS)
    history = (searched / 'history.jsonl').read_bytes()
    stopped = (disk.folder / 'history.jsonl').read_bytes()
    assert history.startswith(stopped) and stopped.endswith(b'\n')
    assert (stopped == history) == (full_at == 'subnet.pth')
    tiny_search.run(disk.folder, resume=True, num_archs=ARCHS)
    for name in ('history.jsonl', 'subnet.yaml', 'pareto.json'):
        assert (disk.folder / name).read_bytes() == (searched / name).read_bytes()
    first, second = (
        load_checkpoint(folder / 'subnet.pth')['state_dict'] for folder in (disk.folder, searched)
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def export(folder, *formats):
    options = ['--formats', *formats, '--input-size', '64']
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['export.py', str(folder / 'subnet.yaml'), *options])
        try:
            runpy.run_path(str(TOOLS / 'export.py'), run_name='__main__')
        finally:
            release_all()  # as at the end of a process


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    folder, arch = tmp_path_factory.mktemp('exported'), (2,) * 8
    backbone = Tiny.randomise(SearchableMacroNet(arch=arch, widen_factor=0.25))
    state = {f'backbone.{key}': value for key, value in backbone.state_dict().items()}
    subnet = SubnetFile(space='nasbench_macro', arch=arch, widen_factor=0.25)
    write_subnet(folder / 'subnet.pth', subnet, state)
    export(folder, 'mm', 'torch')
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['mm', 'torch'])
def test_export(disk, exported, capsys, kind):
    """torch aborts the process where a write to its file fails."""
    shutil.copytree(exported, disk.folder, dirs_exist_ok=True)
    before = contents(disk.folder / 'export', '*')
    assert {path.name for path in before} == {
        'backbone.py',
        'backbone.pth',
        'backbone.pt2',
        'export.json',
    }
    capsys.readouterr()
    hold(disk.folder / 'export')  # the disk gets full later
    with disk.full():
        disk.fill(largest=2**16)
        export(disk.folder, kind)
    assert contents(disk.folder / 'export', '*') == before
    said = capsys.readouterr().err
    assert said.startswith('error: the disk is full, what was written before is kept: [Errno')
    assert said.count('\n') == 1
