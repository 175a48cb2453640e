"""Reading and writing files so that nothing already written is lost and nothing loaded can run
code."""

import contextlib
import io
import json
import math
import os
import shutil
import stat
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import yaml

from .errors import InputError
from .schema import LONGEST, dotted, shown

# What files may have, so that any is read within two seconds. Tables of tens of thousands of archs
# have 1 MB; YAML, which PyYAML reads a hundred times more slowly, is for subnet files of a few KB.
MOST_BYTES, MOST_VALUES = 2**23, 1_000_000
MOST_YAML_BYTES, MOST_YAML_VALUES = 2**18, 10_000
MOST_LEVELS = 64  # of lists and mappings within each other
MOST_DIGITS = 100  # the state of a generator has 39

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


def read_bytes(path: str | os.PathLike, most: int = MOST_BYTES) -> bytes:
    """A file's content; of one that grows meanwhile what it held when it was opened.

    Args:
        path: A regular file: a pipe would be waited for, and a device may have no end.
        most: Its size at most.

    Raises:
        InputError: It is missing, larger, no regular file, or cannot be read.
    """
    try:
        # What is no file is opened without waiting, and refused.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                kind = 'a folder' if stat.S_ISDIR(status.st_mode) else 'a pipe or a device'
                raise InputError(f'{path}: is {kind}, expected a file')
            if status.st_size > most:
                raise InputError(f'{path}: has {status.st_size:,} bytes, expected at most {most:,}')
            with open(descriptor, 'rb', closefd=False) as file:
                return file.read(status.st_size)
        finally:
            os.close(descriptor)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f'{path}: no such file (from {os.getcwd()})') from error
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        reason = getattr(error, 'strerror', None) or error
        raise InputError(f'{path}: cannot be read: {reason}') from error


def read_text(path: str | os.PathLike, most: int = MOST_BYTES) -> str:
    """A file's text. A byte order mark, as editors on Windows write it, is left out.

    Raises:
        InputError: As :func:`read_bytes`, or it is no text in UTF-8.
    """
    data = read_bytes(path, most)
    try:
        text = data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: no text in UTF-8: byte {error.start} is none of it') from error
    if '\0' in text:
        raise InputError(f'{path}: no text: byte {data.index(0)} is 0')
    return text


def read_json(path: str | os.PathLike) -> Any:
    """Plain data from a JSON file; see :func:`parse_json`.

    Raises:
        InputError: As :func:`read_text` or :func:`parse_json`.
    """
    return parse_json(read_text(path), str(path))


def parse_json(text: str, source: str) -> Any:
    """Plain data from text in JSON, such as a line of a file.

    Args:
        text: The text.
        source: Where it is from, for the message.

    Raises:
        InputError: It is not JSON, has a key twice, has more than 64 levels, a million values or
            8 MiB, or a number that is not finite or has more than 100 digits.
    """
    if len(text) > MOST_BYTES:
        raise InputError(f'{source}: has {len(text):,} characters, expected at most {MOST_BYTES:,}')
    try:
        value = json.loads(text, object_pairs_hook=_without_doubles)
    except RecursionError as error:
        raise InputError(f'{source}: {_TOO_DEEP}') from error
    except ValueError as error:
        raise InputError(f'{source}: cannot be read as JSON: {error}') from error
    _check_plain(value, source)
    return value


def read_yaml(path: str | os.PathLike) -> Any:
    """Plain data from a YAML file: what JSON has too. A date is text. References (``*name``), by
    which a short file has no end, and tags (``!!set``) are refused.

    Raises:
        InputError: As :func:`read_text`, or the file is not YAML of plain data; has more than
            256 KiB or 10,000 values, a key twice, more than 64 levels, or a number that is not
            finite or has more than 100 digits.
    """
    text = read_text(path, MOST_YAML_BYTES)
    try:
        value = yaml.load(text, _PlainLoader)
    except RecursionError as error:
        raise InputError(f'{path}: {_TOO_DEEP}') from error
    except (yaml.YAMLError, ValueError) as error:
        line = ' '.join(str(error).split())[:LONGEST]
        raise InputError(f'{path}: cannot be read as YAML of plain data: {line}') from error
    _check_plain(value, str(path))
    return value


_TOO_DEEP = f'is nested deeper than {MOST_LEVELS} levels'
_BEYOND = 10**MOST_DIGITS


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The mapping of pairs; of a key that is there twice, JSON says nothing."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys: set[str] = set()
        twice = next(key for key, _ in pairs if key in keys or keys.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f'key {shown(twice)} is there twice')
    return mapping


def _check_plain(value: Any, source: str) -> None:
    """Raises:
    InputError: A number in a value is not finite or has too many digits, or the value has too many
        levels or parts.
    """
    left: list[tuple[tuple[Hashable, ...], Any]] = [((), [value])]
    count = 0
    while left:
        keys, whole = left.pop()
        count += len(whole)
        if count > MOST_VALUES:
            raise InputError(f'{source}: has more than {MOST_VALUES:,} values')
        for key, part in whole.items() if type(whole) is dict else enumerate(whole):
            kind = type(part)
            if kind is int and not -_BEYOND < part < _BEYOND:
                expected = f'a number of at most {MOST_DIGITS} digits'
            elif kind is float and not math.isfinite(part):
                expected = 'a finite number'
            else:
                if kind is dict or kind is list:
                    if len(keys) == MOST_LEVELS:
                        raise InputError(f'{source}: {_TOO_DEEP}')
                    left.append(((*keys, key), part))
                continue
            where = dotted((*keys, key)[1:])  # the first is of the list around the value
            raise InputError(
                f'{source}: {where}{"=" if where else ""}{shown(part)}: expected {expected}, such '
                f'as 0.5'
            )


# What a word without quotes may be in YAML.
_TAGS = {f'tag:yaml.org,2002:{name}' for name in ('null', 'bool', 'int', 'float')}


class _PlainLoader(yaml.SafeLoader):
    """YAML of what JSON has too."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in pairs if tag in _TAGS]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.level = self.values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, 'a reference is not plain data', mark)
        if event.tag is not None:
            raise yaml.composer.ComposerError(None, None, 'a tag is not plain data', mark)
        self.level += 1
        self.values += 1
        if self.level > MOST_LEVELS:
            raise yaml.composer.ComposerError(None, None, _TOO_DEEP, mark)
        if self.values > MOST_YAML_VALUES:
            raise yaml.composer.ComposerError(
                None, None, f'more than {MOST_YAML_VALUES:,} values', mark
            )
        node = super().compose_node(parent, index)
        self.level -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            _without_doubles([(self.construct_object(key), None) for key, _ in node.value])
        return mapping

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        _check_digits(node)
        return super().construct_yaml_int(node)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        _check_digits(node)
        return super().construct_yaml_float(node)


def _check_digits(node: yaml.ScalarNode) -> None:
    # The time to read digits of base 60 (`1:30:00`, `1:30.5`) grows with their square, and no float
    # has that many.
    if len(node.value) > 3 * MOST_DIGITS:
        raise ValueError(f'a number of more than {MOST_DIGITS} digits')


_PlainLoader.add_constructor('tag:yaml.org,2002:int', _PlainLoader.construct_yaml_int)
_PlainLoader.add_constructor('tag:yaml.org,2002:float', _PlainLoader.construct_yaml_float)
