"""Reading and writing files so that nothing already written is lost and nothing loaded can run
code."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from .errors import InputError


def write_atomic(path: str | os.PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Writes a whole file beside ``path`` and renames it over, so that a full disk or a kill leaves
    the old file.

    Args:
        path: The file to make or replace.
        write: Called with the open binary file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.part{os.getpid()}')
    try:
        with open(part, 'wb') as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


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
