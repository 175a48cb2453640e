"""Locks of folders, held by this process and by others."""

import json
import os
import signal
import socket
from contextlib import contextmanager

import pytest
from processes import finish, on_two_ranks, start
from tiny_locks import hold_and_wait, hold_on_ranks, ring

from pinas_mm import folder_lock
from pinas_mm.errors import InputError
from pinas_mm.folder_lock import LOCK, held, hold, release_all


@pytest.fixture(autouse=True)
def nothing_held(monkeypatch):
    monkeypatch.setattr(folder_lock, 'PATIENCE', 0.05)
    yield
    release_all()


@pytest.fixture
def said(monkeypatch):
    """What is said once."""
    lines = []
    monkeypatch.setattr(folder_lock, 'warn_once', lines.append)
    return lines


@contextmanager
def other_process(folder, file=None):
    """A forked process that holds a lock, and its number; killed in the end."""
    started, wrote = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            hold(folder, file)
            os.write(wrote, b'1')
            signal.pause()
        finally:
            os._exit(1)
    try:
        assert os.read(started, 1) == b'1'
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(started)
        os.close(wrote)


def test_the_lock_of_another_process_is_refused_in_one_line(tmp_path, said):
    folder = tmp_path / 'work'
    with other_process(folder) as pid:
        before = sorted(os.listdir(folder)), (folder / LOCK).read_bytes()
        with pytest.raises(InputError) as error:
            hold(folder)
        message = str(error.value)
        assert message.startswith(
            f'{folder}: process {pid} on {socket.gethostname()} (since 20'
        ) and message.endswith(
            ') writes it: wait until that ends, or choose another (--work-dir, --out)'
        )
        assert 'pytest' in message and '\n' not in message, 'the command'
        assert (sorted(os.listdir(folder)), (folder / LOCK).read_bytes()) == before
    assert not said


def test_the_lock_of_a_killed_process_is_taken_over_and_that_is_said(tmp_path, said):
    with other_process(tmp_path) as pid:
        pass
    assert (tmp_path / LOCK).exists()
    with held(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())['pid'] == os.getpid()
    (line,) = said
    assert line.startswith(f'{tmp_path}: takes over the lock of process {pid} on ')
    assert line.endswith('which ended without giving it back')
    assert not os.listdir(tmp_path)


def test_of_another_host_it_is_said_that_nothing_can_be_known(tmp_path, said):
    (tmp_path / LOCK).write_text(json.dumps(dict(pid=7, host='node3', command='train', since='x')))
    with held(tmp_path):
        pass
    assert said[0].endswith('; this host cannot see whether it still runs on that one')
    with other_process(tmp_path):
        (tmp_path / LOCK).write_text(json.dumps(dict(pid=7, host='node3')))
        with pytest.raises(
            InputError,
            match=r'process 7 on node3 \(since unknown: unknown\) .*; this host cannot see whether '
            rf'it still runs: if it does not, delete {tmp_path}/{LOCK}$',
        ):
            hold(tmp_path)


@pytest.mark.parametrize('content', [b'', b'{"pi', b'[1]', b'\xff' * 9, b'9' * 100_000])
def test_a_lock_that_says_nothing_is_still_one(tmp_path, said, content):
    with other_process(tmp_path):
        (tmp_path / LOCK).write_bytes(content)
        with pytest.raises(InputError, match='process unknown on unknown') as error:
            hold(tmp_path)
        assert len(str(error.value)) < 400
    with held(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())['pid'] == os.getpid()


def test_one_process_may_take_it_again(tmp_path):
    """A pipeline holds its work dir, and its stages their folders; a link to it is the same."""
    (tmp_path / 'link').symlink_to(tmp_path / 'work')
    with held(tmp_path / 'work'), held(tmp_path / 'work/search'):
        with held(tmp_path / 'link'):
            hold(tmp_path / 'work')
        assert (tmp_path / 'work' / LOCK).exists()
    assert not (tmp_path / 'work/search').exists(), 'it was made for the lock alone'
    assert (tmp_path / 'work' / LOCK).exists(), 'held until the end'
    release_all()
    assert not (tmp_path / 'work').exists()


def test_folders_stay_as_they_were(tmp_path):
    """What was made stays, and what was there."""
    (tmp_path / 'empty').mkdir()
    with held(tmp_path / 'empty'), held(tmp_path / 'a/b'), held(tmp_path / 'a/c'):
        (tmp_path / 'a/b/result').touch()
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*')) == [
        'a', 'a/b', 'a/b/result', 'empty',
    ]  # fmt: skip


def test_a_file_alone_is_locked(tmp_path):
    with other_process(tmp_path, 'truth.json') as pid:
        assert os.listdir(tmp_path) == ['.truth.json.lock']
        with held(tmp_path, 'other.json'), held(tmp_path):
            pass
        with pytest.raises(InputError, match=f'{tmp_path}/truth.json: process {pid} on'):
            hold(tmp_path, 'truth.json')


def test_a_lock_that_a_user_deleted_is_not_the_next_ones(tmp_path):
    with held(tmp_path):
        (tmp_path / LOCK).unlink()
        with other_process(tmp_path) as pid:
            release_all()
            assert json.loads((tmp_path / LOCK).read_text())['pid'] == pid


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').touch()
    for folder, error in (('file', FileExistsError), ('file/below', NotADirectoryError)):
        with pytest.raises(error) as raised:
            hold(tmp_path / folder)
        assert raised.value.filename == str(tmp_path / folder)
    assert os.listdir(tmp_path) == ['file']


def test_a_file_system_without_locks_is_said(tmp_path, said, monkeypatch):
    def flock(*args):
        raise OSError(38, 'Function not implemented')

    monkeypatch.setattr('fcntl.flock', flock)
    with held(tmp_path):
        assert not os.listdir(tmp_path)
    assert said == [f'{tmp_path}: its file system has no locks; nothing else may write there']


def test_many_take_turns_and_none_meets_another(tmp_path):
    """Each removes the lock as it gives it back: none may hold one that has no name any more."""
    codes = finish([start(ring, tmp_path, str(n), tmp_path / 'work', 40) for n in range(3)])
    assert codes == [0] * 3, [path.read_text() for path in tmp_path.glob('*.txt')]
    assert not (tmp_path / 'work' / LOCK).exists()
    assert (tmp_path / 'work/count').read_text() == '120'


@pytest.mark.distributed
def test_every_rank_hears_of_a_refusal(tmp_path):
    holder = start(hold_and_wait, tmp_path, 'holder', tmp_path / 'work')
    try:
        while not (tmp_path / 'held').exists():
            assert holder.is_alive()
        on_two_ranks(hold_on_ranks, tmp_path, tmp_path)
        refused = [(tmp_path / f'refused{rank}').read_text() for rank in range(2)]
        assert refused[0] == refused[1] and f'work: process {holder.pid} on' in refused[0]
        assert [(tmp_path / f'free{rank}').read_text() for rank in range(2)] == ['1', '1']
    finally:
        holder.kill()
