"""The checkpoint that a stopped training resumes from."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from ..checkpoint import load_checkpoint
from ..errors import InputError
from ..fileio import write_atomic

LAST = 'last_checkpoint'
TEMPLATES = ('epoch_{}.pth', 'iter_{}.pth')


def resumable_checkpoints(
    work_dir: str | os.PathLike, templates: Sequence[str] = TEMPLATES
) -> list[str]:
    """The checkpoints that a training in a work dir can resume from, the latest first.

    The first is what mmengine's ``last_checkpoint`` names. A file of that name in the work dir
    comes before the path that stands there: a work dir may have been moved or copied. The others
    are those before it. Where ``last_checkpoint`` is missing or torn, they are all that there are.

    Args:
        work_dir: The work dir.
        templates: Names of checkpoints, with ``{}`` for the epoch or the iteration
            (``filename_tmpl`` of CheckpointHook).
    """
    work_dir = Path(work_dir)
    file = work_dir / LAST
    # Torn by a power cut, a file may hold zeros.
    named = file.read_text(errors='replace').strip('\0\n ') if file.is_file() else ''
    if '://' in named:
        return [named]  # in a remote storage, which writes whole objects
    folder, last = work_dir, ''
    if named:
        last = str(work_dir / Path(named).name)
        if not Path(last).exists() and Path(named).exists():  # CheckpointHook.out_dir
            folder, last = Path(named).parent, named
    found = [last] if last else []
    for template in templates:
        start, *end = map(re.escape, re.split(r'\{[^{}]*\}', template))
        if not end:  # one name for every checkpoint
            found += [str(path) for path in [folder / template] if path.exists()]
            continue
        name = re.compile(f'{start}([0-9]+){end[0]}')
        numbers = {
            int(match[1]): path for path in folder.glob('*') if (match := name.fullmatch(path.name))
        }
        of_last = name.fullmatch(Path(last).name)
        found += [
            str(numbers[number])
            for number in sorted(numbers, reverse=True)
            if of_last is None or number < int(of_last[1])
        ]
    return list(dict.fromkeys(found))


def name_last(work_dir: str | os.PathLike, checkpoint: str) -> None:
    """Writes the ``last_checkpoint`` that a killed training did not come to, or that is torn: one
    that has nothing left to train would never write it. One that names a checkpoint stays."""
    file = Path(work_dir) / LAST
    if not file.is_file() or not file.read_bytes().strip(b'\0\n '):
        write_atomic(file, lambda part: part.write(checkpoint.encode()))


def last_checkpoint(work_dir: str | os.PathLike) -> str | None:
    """The last checkpoint of a training in a work dir, which may have been moved, or None."""
    return next(iter(resumable_checkpoints(work_dir)), None)


def latest_readable(
    work_dir: str | os.PathLike, templates: Sequence[str] = TEMPLATES
) -> tuple[str, dict[str, Any]] | None:
    """The first of :func:`resumable_checkpoints` that can be read, and what is in it; None where
    there is none. A line says which one is used in place of one that cannot be read.

    Raises:
        InputError: Not one of them can be read.
    """
    reasons = []
    for path in resumable_checkpoints(work_dir, templates):
        try:
            checkpoint = load_checkpoint(path)
            if not {'meta', 'message_hub'} <= checkpoint.keys():
                raise InputError(f'{path}: not a checkpoint of a training')
        except InputError as error:
            reasons.append(str(error))
            continue
        if reasons:
            print_log(f'{reasons[0]}; resumes from {path}, the one before', 'current', 30)
        return path, checkpoint
    if reasons:
        raise InputError(
            f'{reasons[0]}; {work_dir} has no other checkpoint to resume from: remove '
            f'{Path(work_dir) / LAST} to start from the beginning'
        )
    return None
