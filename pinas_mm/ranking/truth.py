"""True accuracies of archs: a benchmark's table, or one that tools/make_truth.py wrote. No
torch."""

import csv
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from ..errors import InputError
from ..fileio import parse_json, read_text, write_atomic
from ..schema import Expected, check, dotted, shown
from ..spaces import Arch, SearchSpace
from .ranking import LEAST_ARCHS

Accuracy = Annotated[float, Field(ge=0, le=100), Expected('a number from 0 to 100', '89.5')]
SAMPLINGS = ('uniform', 'stratified')


class TruthTable:
    """Accuracies of archs trained from scratch, each once or several times.

    An arch that is not in the table but is the same network as one that is (``space.canonical``)
    has that one's accuracies.

    Args:
        space: The archs' space.
        trainings: For each arch the accuracies in % of its repeated trainings, at least one.
        source: Where they came from, for messages.

    Raises:
        InputError: An arch without accuracies, or an accuracy that is not within 0 and 100.
    """

    def __init__(
        self, space: SearchSpace, trainings: Mapping[Arch, Sequence[float]], source: str = 'truth'
    ) -> None:
        self.space = space
        self.source = source
        self.trainings: dict[Arch, tuple[float, ...]] = {}
        for arch, accuracies in trainings.items():
            wrong = [value for value in accuracies if not 0 <= value <= 100]  # NaN is neither
            if wrong or not accuracies:
                found = f'accuracy {wrong[0]:g}' if wrong else 'no accuracy'
                raise InputError(
                    f'{source}: {found} of arch {space.encode(arch)}, expected numbers from 0 to '
                    f'100'
                )
            self.trainings[arch] = tuple(float(value) for value in accuracies)
        self._same_network: dict[Arch, Arch] = {}
        for arch in self.trainings:
            self._same_network.setdefault(space.canonical(arch), arch)

    def __len__(self) -> int:
        return len(self.trainings)

    def __contains__(self, arch: Arch) -> bool:
        return arch in self.trainings or self.space.canonical(arch) in self._same_network

    def __getitem__(self, arch: Arch) -> tuple[float, ...]:
        """The accuracies in % of the trainings of an arch.

        Raises:
            InputError: Neither it nor another form of the same network is in the table.
        """
        if arch not in self:
            raise InputError(
                f'{self.source}: arch {self.space.encode(arch)} is not among its {len(self):,} '
                f'archs'
            )
        return self.trainings[
            arch if arch in self.trainings else self._same_network[self.space.canonical(arch)]
        ]

    def mean(self, arch: Arch) -> float:
        """The mean accuracy in % over the trainings of an arch."""
        return float(np.mean(self[arch]))

    @property
    def repeats(self) -> int:
        """How many trainings every arch has at least."""
        return min(map(len, self.trainings.values()), default=0)

    def networks(self) -> list[Arch]:
        """The distinct networks of the table in canonical form, sorted."""
        return sorted(self._same_network)

    def sample(self, num_archs: int, seed: int = 0, sampling: str = 'uniform') -> list[Arch]:
        """Draws distinct networks, in canonical form and sorted.

        Args:
            num_archs: How many.
            seed: Seed of the draw.
            sampling: ``'uniform'``; or ``'stratified'``: the networks in the order of their
                accuracies are cut into ``num_archs`` bins of equal count (to one), and one is drawn
                from each. That covers all quantiles: the same statistics with less luck.

        Raises:
            InputError: Fewer than ten asked, more than there are, or another sampling.
        """
        networks = self.networks()
        if not LEAST_ARCHS <= num_archs <= len(networks):
            raise InputError(
                f'{num_archs} archs asked of {self.source}: expected at least {LEAST_ARCHS}, '
                + (
                    f'and at most the {len(networks):,} distinct networks it has'
                    if len(networks) >= LEAST_ARCHS
                    else f'of a larger table: it has {len(networks)} distinct networks'
                )
            )
        rng = np.random.default_rng(seed)
        if sampling == 'uniform':
            chosen = rng.choice(len(networks), num_archs, replace=False)
        elif sampling == 'stratified':
            order = np.argsort([self.mean(arch) for arch in networks], kind='stable')
            chosen = np.array([rng.choice(part) for part in np.array_split(order, num_archs)])
        else:
            raise InputError(f'sampling={sampling!r}, expected one of {SAMPLINGS}')
        return [networks[i] for i in sorted(chosen)]

    def write(self, path: str | os.PathLike) -> None:
        """Writes the table as JSON: ``{arch: [accuracy, ...]}``."""
        lines = [
            f'{json.dumps(self.space.encode(arch))}: {json.dumps(accuracies)}'
            for arch, accuracies in sorted(self.trainings.items())
        ]
        text = '{\n' + ',\n'.join(lines) + '\n}\n'
        write_atomic(path, lambda file: file.write(text.encode()))

    @classmethod
    def read(cls, path: str | os.PathLike, space: SearchSpace) -> 'TruthTable':
        """Reads a table: JSON or CSV. Archs are written as ``space.decode`` reads them.

        Args:
            path: JSON of ``{arch: accuracy}``, ``{arch: [accuracy, ...]}`` or NAS-Bench-Macro's
                ``{arch: {'test_acc': [accuracy, ...], ...}}``; or a CSV with or without a header
                that has one column of archs, and in every other column the accuracies of one
                training (empty where there was none).
            space: The archs' space.

        Raises:
            InputError: Missing, neither JSON nor CSV, archs of another space, an arch twice, or an
                accuracy that is not within 0 and 100.
        """
        text = read_text(path)
        rows = (
            _json_rows(text, path)
            if text.lstrip().startswith(('{', '['))
            else _csv_rows(text, path, space)
        )
        trainings: dict[Arch, list[float]] = {}
        for name, values in rows:
            arch = space.decode(name, str(path))
            if arch in trainings:
                raise InputError(
                    f'{path}: arch {shown(name)} is there twice; accuracies of repeated '
                    f'trainings belong side by side'
                )
            trainings[arch] = values
        if not trainings:
            raise InputError(f'{path}: a table without archs')
        return cls(space, trainings, str(path))


def _json_rows(text: str, path: str | os.PathLike) -> list[tuple[str, list[float]]]:
    table = parse_json(text, str(path))
    if not isinstance(table, dict):
        raise InputError(f'{path}: JSON, but not of the form {{arch: accuracy}}')
    rows = []
    for name, value in table.items():
        if isinstance(value, dict):
            value = value.get('test_acc')  # NAS-Bench-Macro
        values = value if isinstance(value, list) else [value]
        key = dotted([name])
        rows.append((name, [check(Accuracy, each, str(path), key) for each in values]))
    return rows


def _csv_rows(
    text: str, path: str | os.PathLike, space: SearchSpace
) -> list[tuple[str, list[float]]]:
    try:
        rows = [
            row
            for row in csv.reader(io.StringIO(text, newline=''), strict=True)
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise InputError(f'{path}: neither JSON nor CSV: {error}') from error
    columns = [
        column for row in rows[:2] for column, cell in enumerate(row) if _is_arch(cell, space)
    ]
    if not columns:
        raise InputError(
            f'{path}: neither JSON nor a CSV with a column of archs of space {space.name!r}, '
            f'written like '
            f'{space.encode((0,) * space.num_slots)!r}; it begins with {shown(text[:60])}'
        )
    column = columns[0]
    if not _is_arch(rows[0][column], space) and not any(_is_number(cell) for cell in rows[0]):
        rows = rows[1:]  # a header
    short = [row for row in rows if len(row) <= column]
    if short:
        raise InputError(f'{path}: a row without its column of archs: {shown(short[0])}')
    return [
        (
            row[column],
            [
                _number(cell, f'{path}: arch {shown(row[column])}')
                for i, cell in enumerate(row)
                if i != column and cell.strip()
            ],
        )
        for row in rows
    ]


def _is_arch(text: str, space: SearchSpace) -> bool:
    try:
        space.decode(text)
    except InputError:
        return False
    return True


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip()) is not None


def _number(text: str, source: str) -> float:
    if not _is_number(text):
        raise InputError(f'{source}: {shown(text)} is not an accuracy in %')
    return check(Accuracy, float(text), source)


# As tables have it: Python also reads `1_0` and `infinity`.
_NUMBER = re.compile(r'[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)(e[+-]?[0-9]+)?', re.IGNORECASE | re.ASCII)
