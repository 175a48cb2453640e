"""The record of a search: JSON lines, appended and synced per asked batch; resume reads it."""

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import InputError
from ..fileio import parse_json, read_bytes, write_atomic
from ..schema import NotNegative, Number, WholeNumber, check, shown
from ..settings import changed_settings, plain_settings
from ..spaces import Arch, SearchSpace

# Of a whole file: hundreds of thousands of archs. A line has the limits of a JSON file.
MOST_BYTES = 2**28
Stage = Literal['search', 'final']


@dataclass(frozen=True)
class Record:
    """One evaluated arch.

    Args:
        index: Its number in the search, from 0.
        arch: The arch.
        score: What the searcher was told, or None for an arch that failed.
        metrics: All metrics measured.
        costs: ``macs``, ``params`` and, where a latency table is given, ``latency`` in ms.
        stage: ``'search'``, or ``'final'`` for the top archs scored again on the whole held-out
            split.
        error: Why it failed, or None.
    """

    index: WholeNumber
    arch: Arch
    score: Number | None
    metrics: dict[str, Number] = field(default_factory=dict)
    costs: dict[str, NotNegative] = field(default_factory=dict)
    stage: Stage = 'search'
    error: str | None = None


@dataclass(frozen=True)
class Closing:
    """The line after a batch.

    Args:
        spent: The number of records up to here.
        searcher: The searcher's state after them.
    """

    spent: WholeNumber
    searcher: dict[str, Any]


class History:
    """The append-only file ``history.jsonl``.

    Its first line is a header that says what search this is. Then come asked batches: a line per
    record, and a closing line with the number of archs spent and the searcher's state after them. A
    batch without its closing line was not finished: it is dropped, and asked again. The file is
    made with the first batch, so that a search that fails before leaves nothing. Archs that failed
    are no result: a search starts from the beginning where no arch in the file has a score.

    Args:
        path: The file; None keeps the history in memory alone, as on all
            ranks but the first.
        space: The space of its archs.
        header: What must be equal for a search to go on from this file: seed, searcher, limits,
            supernet, what the data are.
        resume: Whether to go on from an existing file.

    Raises:
        InputError: The file exists and ``resume`` is off, or was begun by another search; the
            message says what differs.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        space: SearchSpace,
        header: dict[str, Any],
        resume: bool = False,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.header = plain_settings(header | dict(space=space.name))
        self.records: list[Record] = []
        self.searcher_state: dict[str, Any] = {}
        self.first_batch = 0  # records of the first asked batch
        if self.path is None or not self.path.exists():
            return
        exists = InputError(
            f'{self.path} exists: resume that search (--resume; in Python resume=True) or choose '
            f'another --work-dir'
        )
        try:
            found, records, state, lines, first_batch = _read(self.path, space)
        except InputError as error:
            raise (error if resume else exists) from None
        changes = changed_settings(found, self.header)
        if all(record.score is None for record in records):
            return  # what made the archs fail may be what was corrected
        if not resume:
            raise exists
        if changes:
            raise InputError(f'{self.path}: begun by another search: {changes}')
        self.records, self.searcher_state = records, state
        self.first_batch = first_batch
        write_atomic(self.path, lambda file: file.write(b''.join(line + b'\n' for line in lines)))

    def append(self, records: Sequence[Record], searcher_state: dict[str, Any]) -> None:
        """Adds a batch and syncs it to disk; a failed write leaves the file as it was."""
        if not records:
            return
        if self.path is not None:
            lines = [
                *map(asdict, records),
                asdict(Closing(len(self.records) + len(records), searcher_state)),
            ]
            if self.records:
                _append(self.path, _json_lines(lines))
            else:
                text = _json_lines([self.header, *lines])
                write_atomic(self.path, lambda file: file.write(text))
        self.first_batch = self.first_batch or len(records)
        self.records += records
        self.searcher_state = searcher_state

    def stage(self, name: str) -> list[Record]:
        """The records of one stage."""
        return [record for record in self.records if record.stage == name]


def _json_lines(lines: Sequence[dict[str, Any]]) -> bytes:
    return ''.join(json.dumps(line) + '\n' for line in lines).encode()


def _append(path: Path, text: bytes) -> None:
    """Appends to a file; a failed write leaves it as it was."""
    size = path.stat().st_size
    try:
        with open(path, 'ab') as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        os.truncate(path, size)
        raise


def read_history(
    path: str | os.PathLike[str], space: SearchSpace
) -> tuple[dict[str, Any], list[Record], dict[str, Any]]:
    """The header, the records and the searcher's state of a history file.

    A batch at the end that was not finished is named in a warning and left out.

    Raises:
        InputError: The file cannot be read, is of another space, or has a line that this class does
            not write: another one than the end of a batch is not torn but changed.
    """
    return _read(path, space)[:3]


def _read(
    path: str | os.PathLike[str], space: SearchSpace
) -> tuple[dict[str, Any], list[Record], dict[str, Any], list[bytes], int]:
    """The same, the lines that hold it, and how many records the first batch has."""
    lines = read_bytes(path, MOST_BYTES).split(b'\n')
    try:
        header = _parse(lines[0], f'{path}, line 1')
        if not isinstance(header, dict) or not isinstance(header.get('space'), str):
            raise InputError(f"{path}, line 1: has no 'space'")
    except InputError as error:
        raise InputError(f'{path}: not a search history: {error}') from error
    if header['space'] != space.name:
        raise InputError(
            f'{path}: a history of space {shown(header["space"])}, expected {space.name!r}'
        )
    records: list[Record] = []
    searched: list[Arch] = []
    rescored: set[int] = set()
    state: dict[str, Any] = {}
    first_batch = 0
    kept: list[bytes] = [lines[0]]
    batch: list[tuple[int, bytes, Record | InputError]] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        try:
            found = _record_or_closing(line, space, f'{path}, line {number}')
        except InputError as error:
            batch.append((number, line, error))
            continue
        if isinstance(found, Record):
            batch.append((number, line, found))
            continue
        try:
            for at, _, record in batch:
                records.append(_next(record, searched, rescored, f'{path}, line {at}'))
            if found.spent != len(records):
                raise InputError(
                    f'{path}, line {number}: spent={found.spent}: expected {len(records)}, the '
                    f'number of records before it'
                )
        except InputError as error:
            raise InputError(
                f'{error}; to go on from the batches before, remove this line and all after it'
            ) from error
        state = found.searcher
        first_batch = first_batch or found.spent
        kept += [*(line for _, line, _ in batch), line]
        batch = []
    if batch:
        warnings.warn(
            f'{path}, lines {batch[0][0]} to {batch[-1][0]}: a batch that was not finished, asked '
            f'again',
            stacklevel=2,
        )
    return header, records, state, kept, first_batch


def _parse(line: bytes, source: str) -> Any:
    try:
        return parse_json(line.decode(), source)
    except UnicodeDecodeError as error:
        raise InputError(f'{source}: no text in UTF-8') from error


def _record_or_closing(line: bytes, space: SearchSpace, source: str) -> Record | Closing:
    data = _parse(line, source)
    if isinstance(data, dict) and 'spent' in data:
        return check(Closing, data, source)
    record = check(Record, data, source)
    return replace(record, arch=space.validate(record.arch, source))


def _next(
    record: Record | InputError, searched: list[Arch], rescored: set[int], source: str
) -> Record:
    """A record of a finished batch.

    Args:
        record: The record, or why the line is none.
        searched: The archs of the search before it, in order; one of the search is added.
        rescored: The indices scored again before it; one of these is added.
        source: Its line.

    Raises:
        InputError: It does not follow from those before it.
    """
    if isinstance(record, InputError):
        raise record
    if (record.score is None) == (record.error is None):
        raise InputError(f'{source}: expected either a score or an error')
    if record.stage == 'search':
        if record.index != len(searched):
            raise InputError(f'{source}: index={record.index}: expected {len(searched)}')
        searched.append(record.arch)
    else:
        if searched[record.index : record.index + 1] != [record.arch]:
            raise InputError(f'{source}: index={record.index}: is of another arch')
        if record.index in rescored:
            raise InputError(f'{source}: index={record.index}: is there twice')
        rescored.add(record.index)
    return record
