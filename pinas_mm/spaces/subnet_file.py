"""The subnet file: a found arch and where it came from, as YAML of plain data."""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from ..fileio import read_yaml, write_atomic
from ..version import __version__
from .base import Arch, SearchSpace
from .known import get_space

# A list or a tuple as text.
_LIST = re.compile(r'\s*[\[(](.*)[\])]\s*')


@dataclass(frozen=True)
class SubnetFile:
    """What ``subnet.yaml`` holds.

    Args:
        space: Name of the space.
        arch: One candidate index per slot.
        widen_factor: Width of the supernet it was found in.
        scores: Metrics by name, on the data the search was scored on.
        costs: ``macs`` and ``params`` of the whole model at the searched input size, and
            ``backbone_macs`` of its backbone, in units of one; ``latency`` in ms where it was
            measured.
        seed: Seed of the search.
        config: Name of the search config.
        in_channels: Channels of the images that the supernet reads.
        version: The pinas_mm that wrote it.
    """

    space: str
    arch: Arch
    widen_factor: float = 1.0
    scores: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    seed: int | None = None
    config: str | None = None
    in_channels: int = 3
    version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data; the arch is a list."""
        return asdict(self) | {'arch': list(self.arch)}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the file, then renames it into place."""
        text = yaml.safe_dump(self.to_dict(), sort_keys=False, default_flow_style=None)
        write_atomic(path, lambda file: file.write(text.encode()))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> 'SubnetFile':
        """Reads and checks a subnet file.

        Raises:
            InputError: Not readable, not a subnet file, or an arch that is not of its space.
        """
        data: Any = read_yaml(path)
        if not isinstance(data, dict) or not {'space', 'arch'} <= data.keys():
            raise InputError(
                f"{path}: not a subnet file: expected a mapping with 'space' and 'arch'"
            )
        unknown = data.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            raise InputError(
                f'{path}: unknown keys {sorted(unknown)}, expected {list(cls.__dataclass_fields__)}'
            )
        for key, kinds in (
            ('space', str),
            ('scores', dict),
            ('costs', dict),
            ('seed', int | None),
            ('config', str | None),
            ('version', str),
        ):
            if key in data and not isinstance(data[key], kinds):
                raise InputError(
                    f'{path}: {key}: {data[key]!r} is not of the kind a subnet file has there'
                )
        for key in ('widen_factor', 'in_channels'):
            check_size(key, data.get(key, getattr(cls, key)), f' of {path}')
        arch = get_space(data['space'], str(path)).validate(data['arch'], str(path))
        return cls(**data | {'arch': arch})


def check_size(name: str, value: Any, of: str) -> None:
    """Whether a ``widen_factor`` or ``in_channels`` is a size that a network can have.

    Args:
        name: Which of the two.
        value: As a file or a config has it.
        of: Where it was found, for the message.

    Raises:
        InputError: Not a finite number above 0, or not a whole number of at least 1.
    """
    kind, expected = dict(
        widen_factor=(int | float, 'a number above 0, such as 1.0'),
        in_channels=(int, 'a whole number of at least 1, such as 3'),
    )[name]
    # A bool is an int to Python; nan is below no number.
    if not isinstance(value, kind) or isinstance(value, bool) or not 0 < value < math.inf:
        raise InputError(f'{name}={value!r}{of}: expected {expected}')


def read_arch(
    given: Sequence[int] | str | int | os.PathLike[str], space: SearchSpace, source: str = 'arch'
) -> tuple[Arch, SubnetFile | None]:
    """An arch as a user gives it, in a config or on a command line.

    Args:
        given: A list of candidate indices; text that the space's ``decode`` reads, such as
            ``'22212220'``, or of a list, such as ``'[2, 2, 2, 1, 2, 2, 2, 0]'``; or a subnet file,
            as a ``Path`` or as text that ends in ``.yaml`` or ``.yml`` or has a ``/``. A number is
            what ``--cfg-options`` makes of such text, without the zeros that it begins with.
        space: The space that the arch has to be of.
        source: What it was given for, for the message.

    Returns:
        The arch, and the whole subnet file where it came from one.

    Raises:
        InputError: Not an arch of the space, or a subnet file that cannot be read or is of another
            space.
    """
    if isinstance(given, os.PathLike) or (isinstance(given, str) and _is_file_name(given)):
        subnet = SubnetFile.read(given)
        if subnet.space != space.name:
            raise InputError(
                f'{source}: {given} is a subnet of space {subnet.space!r}, expected one of '
                f'{space.name!r}'
            )
        return subnet.arch, subnet
    if isinstance(given, int | float):
        digits = str(given).zfill(space.num_slots)
        if len(digits) != space.num_slots or not digits.isdecimal():
            example = ','.join(['0'] * space.num_slots)
            raise InputError(
                f'{source}={given}: a number that is no arch of space {space.name!r}, expected its '
                f'{space.num_slots} entries with commas, such as {example}'
            )
        given = digits
    if isinstance(given, str):
        inside = _LIST.fullmatch(given)
        return space.decode(inside[1] if inside else given, source), None
    return space.validate(given, source), None


def _is_file_name(text: str) -> bool:
    return '/' in text or Path(text).suffix.lower() in ('.yaml', '.yml')
