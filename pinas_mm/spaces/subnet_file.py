"""The subnet file: a found arch and where it came from, as YAML of plain data."""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeGuard

import yaml
from pydantic import Field

from ..errors import InputError
from ..fileio import read_yaml, write_atomic
from ..schema import Expected, NotNegative, Number, WholeNumber, check, shown
from ..version import __version__
from .arch_text import candidate_names
from .base import Arch, SearchSpace
from .known import SPACES, get_space

# A list or a tuple as text.
_LIST = re.compile(r'\s*[\[(](.*)[\])]\s*')

# What a network can be built with. The most is far above any.
Width = Annotated[
    float, Field(gt=0, le=100), Expected('a finite number above 0, at most 100', '1.0')
]
Channels = Annotated[int, Field(ge=1, le=10_000), Expected('a whole number from 1 to 10000', '3')]


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
        arguments: Further arguments of its backbone that decide what the subnet computes, as given
            there, such as ``strides``: the ``kept_arguments`` of
            :class:`~pinas_mm.models.backbones.ArchBackbone`, plain data.
        version: The pinas_mm that wrote it.
        candidates: For each slot the name of the chosen candidate, for people; files of 0.1 have
            none. Where it is given it has to agree with ``arch``. It is filled in when the file is
            written, where the space is known.
    """

    space: str
    arch: Arch
    widen_factor: Width = 1.0
    scores: dict[str, Number] = field(default_factory=dict)
    costs: dict[str, NotNegative] = field(default_factory=dict)
    seed: WholeNumber | None = None
    config: str | None = None
    in_channels: Channels = 3
    arguments: dict[str, Any] = field(default_factory=dict)
    version: str = __version__
    candidates: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, the names of the candidates filled in; the arch is a list."""
        names = [*self.candidates]
        if not names and self.space in SPACES:
            names = candidate_names(SPACES[self.space], self.arch)
        first = dict(space=self.space, arch=list(self.arch), candidates=names)
        return first | asdict(self) | first  # the names stand beside the arch

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the file, then renames it into place. Scores that are not finite are left out."""
        scores = {name: value for name, value in self.scores.items() if math.isfinite(value)}
        data = self.to_dict() | dict(scores=scores)
        text = yaml.safe_dump(data, sort_keys=False, default_flow_style=None)
        write_atomic(path, lambda file: file.write(text.encode()))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> 'SubnetFile':
        """Reads and checks a subnet file.

        Raises:
            InputError: Not readable, not a subnet file, an arch that is not of its space, or names
                of candidates that are not the arch's.
        """
        subnet = check(cls, read_yaml(path), str(path))
        space = get_space(subnet.space, str(path))
        arch = space.validate(subnet.arch, str(path))
        names = candidate_names(space, arch)
        if subnet.candidates and [*subnet.candidates] != names:
            raise InputError(
                f'{path}: candidates={shown(list(subnet.candidates))} are not those of '
                f'arch={list(arch)}: expected {shown(names)}, or no candidates'
            )
        return replace(subnet, arch=arch, candidates=())


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
    if is_file_name(given):
        subnet = SubnetFile.read(given)
        if subnet.space != space.name:
            raise InputError(
                f'{source}: {given} is a subnet of space {shown(subnet.space)}, expected one of '
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
    assert not isinstance(given, os.PathLike)  # a file, see above
    return space.validate(given, source), None


def is_file_name(given: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether an arch is given as a subnet file, see :func:`read_arch`."""
    if isinstance(given, str):
        return '/' in given or Path(given).suffix.lower() in ('.yaml', '.yml')
    return isinstance(given, os.PathLike)
