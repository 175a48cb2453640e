"""mm in a program or a notebook: warnings on standard error, all else in the log file."""

import io
import itertools
import logging
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..engine.runner import SafeRunner

_RUNS = itertools.count()
NOTEBOOK_COLUMNS = 100  # of a bar that is text


class QuietRunner(SafeRunner):
    """A runner that shows warnings alone, on standard error. Its log file has everything."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        return only_warnings(super().build_logger(*args, **kwargs))


def only_warnings(logger: MMLogger) -> MMLogger:
    """Lets a logger show warnings alone, on standard error; what it writes to files stays."""
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler:  # a subclass writes to a file
            handler.setStream(sys.stderr)
            handler.setLevel(logging.WARNING)
    return logger


def run_name(name: str) -> str:
    """A name for a run that no other run of this process has: mmengine keeps loggers and scopes by
    it."""
    return f'{name}-{next(_RUNS)}'


@contextmanager
def quiet_scope(scope: str | None) -> Iterator[None]:
    """Within it mm objects are built in a scope, ``'mmpretrain'`` where a config has none, and what
    is logged without a runner shows warnings alone."""
    _first_logger()
    _import_datasets(scope or 'mmpretrain')
    with DefaultScope.overwrite_default_scope(scope or 'mmpretrain'):
        yield


@contextmanager
def quiet_run(scope: str | None) -> Iterator[None]:
    """:func:`quiet_scope` for a runner, which seeds the random generators and sets mm's default
    scope: afterwards both are as the program had them."""
    numbers, arrays = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count())
    with quiet_scope(scope), torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(numbers)
            np.random.set_state(arrays)


def close_logs(folder: str | os.PathLike) -> None:
    """Closes what mmengine's latest logger writes below a folder, before the folder is removed."""
    logger = MMLogger.get_current_instance()
    for handler in list(logger.handlers):
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).is_relative_to(
            Path(folder).absolute()
        ):
            logger.removeHandler(handler)
            handler.close()


@cache
def _first_logger() -> MMLogger:
    """mmengine's current logger until a run has one of its own."""
    return only_warnings(MMLogger.get_instance(f'pinas_mm {time.time()}'))


@cache
def _import_datasets(scope: str) -> None:
    """Imports the datasets of an mm package. The maintained builds print a line then, about a
    package of theirs that nobody needs."""
    if find_spec(scope) is not None and find_spec(f'{scope}.datasets') is not None:
        with redirect_stdout(io.StringIO()):
            import_module(f'{scope}.datasets')


@contextmanager
def progress_bar(shown: bool | None) -> Iterator[Callable[[str, float, float, float], None]]:
    """A progress bar on standard error, or in the notebook.

    Args:
        shown: Whether it is shown; None where standard error is a terminal, and in notebooks.

    Yields:
        What to call with the title, how much is done, how much there is, and the best score so far.
    """
    console = Console(stderr=True)
    if shown is None:
        shown = console.is_terminal or console.is_jupyter
    if console.is_jupyter and find_spec('ipywidgets') is None:
        # Rich would warn at every refresh and show nothing; notebooks can overwrite a line, too.
        console = Console(force_jupyter=False, force_terminal=True, width=NOTEBOOK_COLUMNS)
    elif shown and not console.is_jupyter:
        console = Console(stderr=True, force_terminal=True)
    bar = Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        TextColumn('{task.completed:.0f}/{task.total:.0f}'),
        TimeElapsedColumn(),
        TextColumn('ETA'),
        TimeRemainingColumn(),
        TextColumn('{task.fields[best]}'),
        console=console,
        # A thread that refreshes would hold locks while a DataLoader forks its workers.
        auto_refresh=False,
        transient=True,
        disable=not shown,
    )
    last = 0.0

    def show(title: str, done: float, total: float, best: float) -> None:
        nonlocal last
        if not bar.tasks:
            bar.add_task(title, total=total, best='')
        text = '' if best == -math.inf else f'best {best:.4g}'
        bar.update(bar.tasks[0].id, description=title, total=total, completed=done, best=text)
        if time.monotonic() - last > 0.1 or done >= total:
            last = time.monotonic()
            bar.refresh()

    with bar:
        yield show
