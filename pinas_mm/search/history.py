"""The record of a search: one JSON line per evaluated arch, appended and synced; resume reads it."""
import json
import os
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..fileio import write_atomic
from ..spaces import Arch, SearchSpace


@dataclass(frozen=True)
class Record:
    """One evaluated arch.

    Args:
        index: Its number in the search, from 0.
        arch: The arch.
        score: What the searcher was told.
        metrics: All metrics measured.
        costs: ``macs`` and ``params``.
        stage: ``'search'``, or ``'final'`` for the top archs scored again on the whole held-out split.
    """
    index: int
    arch: Arch
    score: float
    metrics: dict[str, float] = field(default_factory=dict)
    costs: dict[str, int] = field(default_factory=dict)
    stage: str = 'search'


class History:
    """The append-only file ``history.jsonl``: a header that says what search this is, then the records.

    Args:
        path: The file. Made if it does not exist.
        space: The space of its archs.
        header: What must be equal for a search to go on from this file: seed, searcher, limits, supernet.
        resume: Whether to go on from an existing file.

    Raises:
        InputError: The file exists and ``resume`` is off, or was begun by another search; the message says what differs.
    """

    def __init__(self, path: str | os.PathLike, space: SearchSpace, header: dict[str, Any], resume: bool = False) -> None:
        self.path = Path(path)
        self.space = space
        self.header = json.loads(json.dumps(header | dict(space=space.name)))
        self.records: list[Record] = []
        if self.path.exists():
            if not resume:
                raise InputError(f'{self.path} exists: resume that search (--resume) or choose another --work-dir')
            found, self.records = read_history(self.path, space)
            changed = [f'{key} was {found.get(key)!r} and is {self.header.get(key)!r}' for key in sorted(found.keys() | self.header.keys())
                       if found.get(key) != self.header.get(key)]
            if changed:
                raise InputError(f'{self.path}: begun by another search: ' + '; '.join(changed))
        lines = [self.header, *map(asdict, self.records)]
        text = ''.join(json.dumps(line) + '\n' for line in lines)
        write_atomic(self.path, lambda file: file.write(text.encode()))

    def append(self, record: Record) -> None:
        """Adds a record and syncs it to disk; a failed write leaves the file as it was."""
        size = self.path.stat().st_size
        try:
            with open(self.path, 'ab') as file:
                file.write((json.dumps(asdict(record)) + '\n').encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            os.truncate(self.path, size)
            raise
        self.records.append(record)

    def stage(self, name: str) -> dict[Arch, Record]:
        """The records of one stage by arch."""
        return {record.arch: record for record in self.records if record.stage == name}


def read_history(path: str | os.PathLike, space: SearchSpace) -> tuple[dict[str, Any], list[Record]]:
    """The header and the records of a history file; a line that cannot be read is named in a warning and left out.

    Raises:
        InputError: The file or its header cannot be read.
    """
    try:
        lines = Path(path).read_bytes().split(b'\n')
        header = json.loads(lines[0])
        if not isinstance(header, dict) or 'space' not in header:
            raise ValueError("its first line has no 'space'")
    except (OSError, ValueError) as error:
        raise InputError(f'{path}: not a search history: {error}') from error
    if header['space'] != space.name:
        raise InputError(f"{path}: a history of space {header['space']!r}, expected {space.name!r}")
    records: list[Record] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            records.append(Record(**data | dict(arch=space.validate(data['arch']), index=int(data['index']), score=float(data['score']))))
        except (ValueError, TypeError, KeyError) as error:
            warnings.warn(f'{path}, line {number}: not a record, left out ({error})', stacklevel=2)
    return header, records
