"""Reading and writing files so that nothing already written is lost and nothing loaded can run
code."""

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

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
        with open(part, 'wb') as file:
            lock(file)
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


def remove_stale_parts(folder: Path) -> None:
    """Removes what processes that died left of :func:`write_atomic` in a folder. A living writer
    holds a lock on its part, also on another machine or in another container."""
    if fcntl is None:
        return
    for part in folder.glob(f'*{PART}'):
        # Locked, gone in between, or on a file system without locks: left alone.
        with contextlib.suppress(OSError), open(part, 'rb+') as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def lock(file: IO[bytes]) -> None:
    """Locks an open file until it is closed, where its file system can."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)


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
