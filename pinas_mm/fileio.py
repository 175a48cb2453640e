"""Reading and writing files so that nothing already written is lost and nothing loaded can run
code."""

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import yaml

from .errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# The end of the name of a file that is being written: no other program's.
PART = '.pinas_mm.part'


def write_atomic(path: str | os.PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Writes a whole file beside ``path``, syncs it and renames it over, so that a full disk, a
    kill or a power cut leaves the old file. Parts that dead processes left in the folder go.

    Args:
        path: The file to make or replace.
        write: Called with the open binary file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stale_parts(path.parent)
    part = path.with_name(f'{path.name}.{os.getpid()}{PART}')
    try:
        with open(part, 'wb') as file, locked(part):
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextlib.contextmanager
def text_written_atomic(path: str | os.PathLike, mode: str = 'w') -> Iterator[TextIO]:
    """A text file in place of ``open(path, 'w')``, written by :func:`write_atomic` at its end."""
    assert mode == 'w'
    text = io.StringIO()
    yield text
    write_atomic(path, lambda file: file.write(text.getvalue().encode()))


@contextlib.contextmanager
def folder_written_atomic(folder: str | os.PathLike) -> Iterator[Path]:
    """A new folder beside ``folder`` to write files to, which is renamed to it at the end."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_stale_parts(folder.parent)
    part = folder.with_name(f'{folder.name}.{os.getpid()}{PART}')
    part.mkdir(exist_ok=True)
    try:
        with locked(part):
            yield part
            os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync_folder(folder.parent)


def remove_stale_parts(folder: Path) -> None:
    """Removes what processes that died were writing in a folder. A living writer holds a lock on
    its part, also on another machine or in another container."""
    for part in folder.glob(f'*{PART}'):
        with locked(part, wait=False) as is_stale:
            if is_stale and part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            elif is_stale:
                part.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[bool]:
    """Within it a file or folder is locked by this process, or not (False): it is locked by
    another, is gone, or its file system has no locks."""
    number = None
    try:
        number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        is_locked = True
    except (OSError, AttributeError):  # without fcntl, on Windows
        is_locked = False
    try:
        yield is_locked
    finally:
        if number is not None:
            os.close(number)


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder last through a power cut, where its file system can."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def read_yaml(path: str | os.PathLike) -> Any:
    """Plain data from a YAML file.

    Raises:
        InputError: The file is missing or is not YAML of plain data.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise InputError(f'{path}: no such file (from {os.getcwd()})') from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f'{path}: cannot be read as YAML of plain data: {error}') from error
