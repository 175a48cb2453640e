"""What a terminal shows while a tool runs: few lines, at most 100 columns wide, and how far the
work has come. The log file of mmengine has everything."""

import builtins
import logging
import os
import re
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

WIDTH = 100
# ``logger.info(text, extra=LOG_ONLY)`` writes to the log file, and to a terminal only if verbose.
LOG_ONLY = dict(log_only=True)

# Packages whose INFO lines go to the log file alone: environment, config, hooks, tables.
HOSTS = frozenset(
    'mmengine mmcv mmpretrain mmdet mmseg mmdet3d mmpose mmocr mmaction mmrotate mmyolo'.split()
)
# Packages that print: what they print goes to the log file too.
PRINTERS = ('pycocotools', 'mmengine.logging')
# Warnings of other packages that ask nothing of a user: the beginning of the message, as a regular
# expression, and the package that logs it.
KNOWN_LOGGED = (
    ('"FileClient" will be deprecated', 'mmengine'),
    ('"HardDiskBackend" is the alias of "LocalBackend"', 'mmengine'),
    ('`(save|resume)_param_scheduler` is True but', 'mmengine'),
)
# The same of Python's warnings: message and module, both regular expressions.
KNOWN_WARNINGS = (
    (r'torch\.meshgrid: in an upcoming release', r'torch\.functional'),
    (r'pkg_resources is deprecated as an API', r'.*'),
    (r'faster_coco_eval is not installed', r'mmdet'),
    (r".*'pin_memory' argument is set as true but no accelerator", r'torch\.utils\.data'),
    (r'`torch\.cuda\.amp\.GradScaler\(args\.\.\.\)` is deprecated', r'mmengine'),
)

# A line of progress at the first step and the last, and between them at every twentieth of the
# work; never within 5 seconds of the last line, always after 10 minutes.
LINES, LEAST_SECONDS, MOST_SECONDS = 20, 5.0, 600.0
BAR_SECONDS = 0.2
# Lines of one warning that a terminal shows: mmengine names every tensor that does not fit.
MOST_LINES = 8


class _State:
    """What is open now. One process has one terminal."""

    quiet = False
    muted = 0
    log_file = ''
    bars: 'Bars | None' = None
    num_bars = 0


def is_quiet() -> bool:
    """Whether :func:`quiet_terminal` is open: progress is shown here, not by mmengine's log
    lines."""
    return _State.quiet


@contextmanager
def quiet_terminal(verbose: bool = False) -> Iterator[None]:
    """Within it a terminal shows warnings, errors and the lines of this package and of the user's
    code. INFO lines of mm's packages go to the log file alone, and known warnings of other packages
    (``KNOWN_LOGGED``, ``KNOWN_WARNINGS``) are left out of the terminal.

    Within another one it changes nothing.

    Args:
        verbose: Change nothing: the terminal shows what the log file has.
    """
    if verbose or _State.quiet:
        yield
        return
    from mmengine.logging import MMLogger

    _State.quiet = True
    try:
        with (
            mock.patch.object(MMLogger, 'callHandlers', _handle),
            mock.patch.object(builtins, 'print', _print),
            warnings.catch_warnings(),
        ):
            for message, module in KNOWN_WARNINGS:
                warnings.filterwarnings('ignore', message, module=module)
            yield
    finally:
        _State.quiet, _State.log_file = False, ''
        _close_bars()


@contextmanager
def muted() -> Iterator[None]:
    """Within it a quiet terminal shows warnings and errors alone: for one of many trainings."""
    _State.muted += 1
    try:
        yield
    finally:
        _State.muted -= 1


def say(text: str) -> None:
    """Prints lines to the terminal, those above 100 columns wrapped between words. Ranks other than
    the first print nothing."""
    from mmengine.dist import is_main_process

    if is_main_process() and not _State.muted:
        _show(text)


def say_log_file(path: str | os.PathLike[str] | None) -> None:
    """Says, once, where all is that a quiet terminal does not show."""
    if is_quiet() and path is not None and str(path) != _State.log_file:
        _State.log_file = str(path)
        say(f'log: {short_path(path)}')


def short_path(path: str | os.PathLike[str]) -> str:
    """A path from the working directory, where it is below it; else as it is."""
    return os.path.relpath(path) if Path(path).resolve().is_relative_to(Path.cwd()) else str(path)


def shortened(text: str, width: int) -> str:
    """A text of at most ``width`` characters, the middle of a longer one left out."""
    if len(text) <= width:
        return text
    end = max(1, (width - 1) // 2)
    return f'{text[: max(1, width - 1 - end)]}…{text[-end:]}'


class Progress:
    """How far some work has come: a bar on a terminal, a line now and then elsewhere, nothing on
    ranks other than the first or outside of :func:`quiet_terminal`.

    Args:
        title: What is done, such as ``'search'``.
        total: Its steps.
        done: Those that an earlier run has done. They do not count for the time left.
        lines: Whether lines are printed where there is no terminal.
        ends: Whether the first and the last step have a line in any case.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        title: str,
        total: float,
        done: float = 0,
        lines: bool = True,
        ends: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title, self.total, self.done, self.clock = title, total, done, clock
        self.lines, self.ends = lines, ends
        self.start = done
        self.numbers = ''
        self.started = self.shown = clock()
        self.said = None if ends else done  # what was done at the last line
        self.task: TaskID | None = None

    def __enter__(self) -> 'Progress':
        from mmengine.dist import is_main_process

        self.active = _State.quiet and not _State.muted and is_main_process()
        if self.active and _on_terminal():
            self.task = _open_bar(self.title, self.total, self.done)
        return self

    def __exit__(self, *error: object) -> None:
        if self.task is not None:
            _end_bar(self.task)
            self.task = None
        self.active = False

    def update(
        self, done: float, title: str | None = None, numbers: Mapping[str, str] | None = None
    ) -> None:
        """Notes how many steps are done by now, another title, and the numbers to show beside, as
        text by their name."""
        self.done, self.title = done, title or self.title
        if not self.active:
            return
        self.numbers = '  '.join(f'{name} {value}' for name, value in (numbers or {}).items())
        now = self.clock()
        if self.task is not None:
            if now - self.shown >= BAR_SECONDS or done >= self.total:
                self.shown = now
                _update_bar(self.task, self.title, self.done, self.time_left(), self.numbers)
        elif self.lines and self._is_due(now):
            self.shown, self.said = now, done
            self._say()

    def time_left(self) -> str:
        """The time that the steps left will take, from those since the start; ``-:--:--`` before
        the first."""
        steps = self.done - self.start
        if steps <= 0:
            return '-:--:--'
        seconds = (self.clock() - self.started) / steps * max(0.0, self.total - self.done)
        return str(timedelta(seconds=round(seconds)))

    def _is_due(self, now: float) -> bool:
        if self.said is None or (self.ends and self.done >= self.total > self.said):
            return True
        since = now - self.shown
        crossed = int(self.done * LINES / self.total) > int(self.said * LINES / self.total)
        return (crossed and since >= LEAST_SECONDS) or since >= MOST_SECONDS

    def _say(self) -> None:
        say(
            f'{self.title}  {self.done:.0f}/{self.total:.0f}  '
            f'{self.done / max(self.total, 1):.0%}  ETA {self.time_left()}  {self.numbers}'.rstrip()
        )


# What mmengine calls. --------------------------------------------------------------------------


def _handle(logger: logging.Logger, record: logging.LogRecord) -> None:
    """In place of :meth:`MMLogger.callHandlers`: handlers of a terminal get what it shows."""
    shown = None
    for handler in logger.handlers:
        if record.levelno < handler.level:
            continue
        if type(handler) is not logging.StreamHandler:  # its subclass FileHandler is no terminal
            handler.handle(record)
            continue
        if shown is None:
            shown = _is_shown(record, _calling_module(sys._getframe(1)))
        if shown and handler.filter(record):
            level = f'{record.levelname.lower()}: ' if record.levelno >= logging.WARNING else ''
            text = record.getMessage()
            if record.exc_info:
                text += '\n' + logging.Formatter().formatException(record.exc_info)
            lines = [part for part in (level + text).splitlines() if part.strip()]
            lines = '\n'.join(map(_wrapped, lines)).splitlines()
            if len(lines) > MOST_LINES and not record.exc_info:
                more = len(lines) - MOST_LINES
                lines[MOST_LINES:] = [f'    … and {more} more lines in the log file']
            _show('\n'.join(lines))


def _is_shown(record: logging.LogRecord, module: str) -> bool:
    package = module.partition('.')[0]
    if record.levelno >= logging.WARNING:
        return record.levelno > logging.WARNING or not any(
            package == known and re.match(message, record.getMessage())
            for message, known in KNOWN_LOGGED
        )
    return not (_State.muted or getattr(record, 'log_only', False) or package in HOSTS)


def _calling_module(frame: FrameType | None) -> str:
    """The module that logs: above logging's own frames and mmengine's ``print_log``."""
    while frame is not None:
        name: str = frame.f_globals.get('__name__', '')
        if not name.startswith(('logging', 'mmengine.logging', __name__)):
            return name
        frame = frame.f_back
    return ''


_print_anyway = print


def _print(*values: object, **options: Any) -> None:
    """In place of ``print``: what known packages print goes to the log file."""
    frame = sys._getframe(1)
    if options.get('file') is None and frame.f_globals.get('__name__', '').startswith(PRINTERS):
        from mmengine.logging import MMLogger

        # ``print_log`` without a logger prints; its level is what counts.
        level = frame.f_locals.get('level', logging.INFO)
        text = options.get('sep', ' ').join(map(str, values)).strip()
        if text:
            MMLogger.get_current_instance().log(level, text, extra=LOG_ONLY)
        return
    _print_anyway(*values, **options)


def _show(text: str) -> None:
    _print_anyway('\n'.join(map(_wrapped, text.splitlines())), flush=True)


def _wrapped(line: str) -> str:
    if len(line) <= WIDTH:
        return line
    indent = ' ' * (len(line) - len(line.lstrip()))
    return textwrap.fill(
        line,
        WIDTH,
        subsequent_indent=indent + '    ',
        break_long_words=False,
        break_on_hyphens=False,
    )


# The bars. -------------------------------------------------------------------------------------


def _on_terminal() -> bool:
    return _State.bars is not None or bool(getattr(sys.stdout, 'isatty', lambda: False)())


def _open_bar(title: str, total: float, done: float) -> 'TaskID':
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    if _State.bars is None:
        # Refreshed by _update_bar: a thread that refreshes would hold locks while a DataLoader
        # forks its workers, and a worker that prints would wait for ever.
        _State.bars = Progress(
            TextColumn('{task.description}'),
            BarColumn(bar_width=14, complete_style='blue', finished_style='blue'),
            TextColumn('{task.completed:.0f}/{task.total:.0f}'),
            TextColumn('ETA {task.fields[left]}'),
            TextColumn('{task.fields[numbers]}'),
            # Of its own: rich's shared one looks only once whether it has a terminal.
            console=Console(),
            auto_refresh=False,
            transient=True,
        )
        _State.bars.start()
    _State.num_bars += 1
    task = _State.bars.add_task(title, total=total, left='-:--:--', numbers='')
    _State.bars.update(task, completed=done)
    _State.bars.refresh()
    return task


def _update_bar(task: 'TaskID', title: str, done: float, left: str, numbers: str) -> None:
    if _State.bars is not None:
        _State.bars.update(task, description=title, completed=done, left=left, numbers=numbers)
        _State.bars.refresh()


def _end_bar(task: 'TaskID') -> None:
    # After an error the bars have been closed, and others may have been opened since.
    if _State.bars is None or task not in _State.bars.task_ids:
        return
    _State.bars.remove_task(task)
    _State.num_bars -= 1
    if _State.num_bars == 0:
        _close_bars()
    else:
        _State.bars.refresh()


def _close_bars() -> None:
    if _State.bars is not None:
        _State.bars.stop()
    _State.bars, _State.num_bars = None, 0
