"""The record of a search: JSON lines, appended and synced per asked batch; resume reads it."""

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..fileio import write_atomic
from ..settings import changed_settings, plain_settings
from ..spaces import Arch, SearchSpace


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

    index: int
    arch: Arch
    score: float | None
    metrics: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    stage: str = 'search'
    error: str | None = None


class History:
    """The append-only file ``history.jsonl``.

    Its first line is a header that says what search this is. Then come asked batches: a line per
    record, and a closing line with the number of archs spent and the searcher's state after them. A
    batch without its closing line was not finished: it is dropped, and asked again. The file is
    made with the first batch, so that a search that fails before leaves nothing. Archs that failed
    are no result: another search begins a file without a score anew.

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
        if self.path is None or not self.path.exists():
            return
        exists = InputError(
            f'{self.path} exists: resume that search (--resume) or choose another --work-dir'
        )
        try:
            found, records, state, lines = _read(self.path, space)
        except InputError as error:
            raise (error if resume else exists) from None
        changes = changed_settings(found, self.header)
        if all(record.score is None for record in records) and (changes or not resume):
            return  # what made the archs fail may be what was corrected
        if not resume:
            raise exists
        if changes:
            raise InputError(f'{self.path}: begun by another search: {changes}')
        self.records, self.searcher_state = records, state
        write_atomic(self.path, lambda file: file.write(b''.join(line + b'\n' for line in lines)))

    def append(self, records: Sequence[Record], searcher_state: dict[str, Any]) -> None:
        """Adds a batch and syncs it to disk; a failed write leaves the file as it was."""
        if not records:
            return
        if self.path is not None:
            lines = [
                *map(asdict, records),
                dict(spent=len(self.records) + len(records), searcher=searcher_state),
            ]
            if self.records:
                _append(self.path, _json_lines(lines))
            else:
                text = _json_lines([self.header, *lines])
                write_atomic(self.path, lambda file: file.write(text))
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

    What cannot be read is named in a warning and left out: a damaged line, and the lines of a batch
    that was not finished.

    Raises:
        InputError: The file or its header cannot be read.
    """
    return _read(path, space)[:3]


def _read(
    path: str | os.PathLike[str], space: SearchSpace
) -> tuple[dict[str, Any], list[Record], dict[str, Any], list[bytes]]:
    """The same, and the lines that hold it."""
    try:
        lines = Path(path).read_bytes().split(b'\n')
        header = json.loads(lines[0])
        if not isinstance(header, dict) or 'space' not in header:
            raise ValueError("its first line has no 'space'")
    except (OSError, ValueError) as error:
        raise InputError(f'{path}: not a search history: {error}') from error
    if header['space'] != space.name:
        raise InputError(f'{path}: a history of space {header["space"]!r}, expected {space.name!r}')
    records: list[Record] = []
    batch: list[tuple[int, Record]] = []
    state: dict[str, Any] = {}
    kept: list[bytes] = [lines[0]]
    read: list[bytes] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            if 'spent' in data:
                state = dict(data['searcher'])
                records += [record for _, record in batch]
                kept += [*read, line]
                batch, read = [], []
            else:
                batch.append((number, _record(data, space)))
                read.append(line)
        except (ValueError, TypeError, KeyError) as error:
            warnings.warn(f'{path}, line {number}: not a record, left out ({error})', stacklevel=2)
    if batch:
        warnings.warn(
            f'{path}, lines {batch[0][0]} to {batch[-1][0]}: a batch that was not finished, asked '
            f'again',
            stacklevel=2,
        )
    return header, records, state, kept


def _record(data: dict[str, Any], space: SearchSpace) -> Record:
    score = None if data['score'] is None else float(data['score'])
    return Record(
        **data | dict(arch=space.validate(data['arch']), index=int(data['index']), score=score)
    )
