"""What mmengine wrote while stages trained: curves and warnings, read from the files in their
folders."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..fileio import parse_json

# Of a log; a longer one is of days of training, and its first warnings are in its first part.
MOST_BYTES = 2**26
# Points of a curve: more than a screen has columns.
MOST_POINTS = 600
WARNING = re.compile(r'^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d - \S+ - WARNING - (.*)$', re.M)


# Parts of warnings that say nothing of a run: they are for programmers of mm packages, or of a
# setting that such a run never has.
UNIMPORTANT = ('deprecated', 'save_param_scheduler', 'sync_buffer')


def scalars(stage: Path) -> list[dict[str, Any]]:
    """The lines of all ``scalars.json`` of a stage's folder, in the order of time. A line that is
    torn, as a kill leaves it, is left out."""
    found = []
    for path in sorted(stage.glob('*/vis_data/scalars.json')):
        for number, line in enumerate(_text(path).splitlines(), start=1):
            try:
                values = parse_json(line, f'{path}, line {number}')
            except InputError:
                continue
            if isinstance(values, dict):
                found.append(values)
    return found


def curve(stage: Path, name: str, x: str = 'step') -> tuple[list[float], list[float]]:
    """One logged quantity of a stage: x and y. What a resumed training logged again counts once."""
    points = {
        float(line[x]): float(line[name])
        for line in scalars(stage)
        if isinstance(line.get(name), int | float)
        and isinstance(line.get(x), int | float)
        and math.isfinite(line[name])
    }
    xs = sorted(points)
    if len(xs) > MOST_POINTS:
        every = len(xs) / MOST_POINTS
        xs = [xs[int(i * every)] for i in range(MOST_POINTS)]
    return xs, [points[x] for x in xs]


def logged_warnings(stages: Sequence[Path]) -> list[str]:
    """The first lines of the warnings in the log files of stages, but for ``UNIMPORTANT`` ones."""
    return [
        message.strip()
        for stage in stages
        for path in sorted(stage.glob('*/*.log'))
        for message in WARNING.findall(_text(path))
        if not any(part in message for part in UNIMPORTANT)
    ]


def _text(path: Path) -> str:
    with path.open('rb') as file:
        return file.read(MOST_BYTES).decode(errors='replace')
