"""One program at a time writes a folder."""

import atexit
import errno
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from mmengine.dist import broadcast_object_list, is_main_process

from .errors import InputError, warn_once
from .schema import LONGEST

# The lock of a folder.
LOCK = '.lock'
# Seconds that a program which ends has to give its lock back.
PATIENCE = 1.0
# What a file system answers that has no locks.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@dataclass
class _Held:
    lock: FileLock
    path: Path
    inode: tuple[int, int]
    made: list[Path]  # folders that were not there, the innermost first
    times: int = field(default=0)


_held: dict[str, _Held] = {}


def hold(folder: str | os.PathLike[str], file: str | None = None) -> None:
    """Takes the lock of a folder for this process, until it ends or :func:`release_all`. To be
    called by every rank, before anything in the folder is read: the first one takes the lock.

    The lock is ``.lock`` in the folder, with who holds it. It is removed in the end, and so is a
    folder that was made for it and stayed empty. The kernel frees it when its process ends (flock).
    What a killed process left is taken over, which is said. A process that holds it may take it
    again. Where the file system has no locks, that is said, and nothing is locked.

    Args:
        folder: The folder; made where it is not there.
        file: The name of one file in it, where that alone is to be written; its lock is
            ``.<file>.lock``.

    Raises:
        InputError: On every rank, where another process has the lock. The message says which
            process, on which host, since when and by what command.
        OSError: The folder cannot be written; an InputError on ranks but the first.
    """
    _take(Path(folder), file)


@contextmanager
def held(folder: str | os.PathLike[str], file: str | None = None) -> Iterator[None]:
    """:func:`hold`, for the time of a ``with`` block."""
    _take(Path(folder), file)
    try:
        yield
    finally:
        _give_back(_lock_path(Path(folder), file))


def release_all() -> None:
    """Gives back every lock of this process."""
    for found in list(_held.values()):
        found.times = 1
        _give_back(found.path)


atexit.register(release_all)
# A forked process, such as a worker of a loader, holds nothing.
os.register_at_fork(after_in_child=_held.clear)


def _lock_path(folder: Path, file: str | None) -> Path:
    return folder / (LOCK if file is None else f'.{file}.lock')


def _take(folder: Path, file: str | None) -> None:
    refusal: InputError | OSError | None = None
    if is_main_process():
        try:
            _take_here(folder, file)
        except (InputError, OSError) as error:
            refusal = error
    told = [str(refusal) if refusal else None]
    broadcast_object_list(told)  # the others would wait for a rank that has ended
    if told[0] is not None:
        raise refusal or InputError(told[0])


def _take_here(folder: Path, file: str | None) -> None:
    path = _lock_path(folder, file)
    key = os.path.realpath(path)
    if key in _held:
        _held[key].times += 1
        return
    name = folder if file is None else folder / file
    made: list[Path] = []
    inode: list[tuple[int, int]] = []
    before: list[dict[str, Any]] = []

    def acquired(descriptor: int) -> None:
        state = os.fstat(descriptor)
        inode.append((state.st_dev, state.st_ino))
        before.append(_owner(os.pread(descriptor, state.st_size, 0)) if state.st_size else {})
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_myself()).encode(), 0)

    try:
        made = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, PATIENCE, thread_local=False, on_acquired=acquired)
        lock.acquire()
    except Timeout:
        raise InputError(_refusal(name, path)) from None
    except OSError as error:
        if error.errno in NO_LOCKS:
            path.unlink(missing_ok=True)
            warn_once(f'{folder}: its file system has no locks; nothing else may write there')
            return
        _remove_empty(made)
        raise OSError(error.errno, error.strerror, str(folder)) from error
    _held[key] = _Held(lock, path, inode[-1], made, times=1)
    if before[-1]:
        elsewhere = before[-1].get('host') != socket.gethostname()
        warn_once(
            f'{name}: takes over the lock of {_described(before[-1])}, which ended without giving '
            f'it back'
            + ('; this host cannot see whether it still runs on that one' if elsewhere else '')
        )


def _give_back(path: Path) -> None:
    key = os.path.realpath(path)
    found = _held.get(key)
    if found is None:  # another rank, or no locks here
        return
    found.times -= 1
    if found.times:
        return
    del _held[key]
    try:
        state = os.stat(found.path)
        # While it is held: who opened it before finds that it has no name any more, and makes
        # another. A user may have removed it, and it may be another process's by now.
        if (state.st_dev, state.st_ino) == found.inode:
            os.unlink(found.path)
    except OSError:
        pass  # the folder is gone, or not ours to write any more
    found.lock.release()
    _remove_empty(found.made)


def _remove_empty(folders: list[Path]) -> None:
    try:
        for folder in folders:
            folder.rmdir()
    except OSError:
        pass  # something is in it


def _myself() -> dict[str, Any]:
    return dict(
        pid=os.getpid(),
        host=socket.gethostname(),
        command=shlex.join(sys.argv),
        since=time.strftime('%Y-%m-%d %H:%M:%S'),
    )


def _owner(content: bytes) -> dict[str, Any]:
    """Who wrote a lock; a lock that says nothing is still one."""
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _described(owner: dict[str, Any]) -> str:
    texts = {
        key: str(owner.get(key, 'unknown'))[:LONGEST] for key in ('pid', 'host', 'since', 'command')
    }
    return 'process {pid} on {host} (since {since}: {command})'.format(**texts)


def _refusal(name: Path, path: Path) -> str:
    try:
        owner = _owner(path.read_bytes())
    except OSError:
        owner = {}
    text = (
        f'{name}: {_described(owner)} writes it: wait until that ends, or choose another '
        f'(--work-dir, --out)'
    )
    if owner.get('host', socket.gethostname()) != socket.gethostname():
        text += f'; this host cannot see whether it still runs: if it does not, delete {path}'
    return text
