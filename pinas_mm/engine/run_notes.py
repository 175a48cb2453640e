"""What is noted of a run while it runs, for its report: warnings and time."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class _Collector(logging.Handler):
    """Keeps the warnings that go through a logger."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.found = found

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())


@contextmanager
def noted_warnings(logger: logging.Logger) -> Iterator[list[str]]:
    """Within it the warnings of a logger and of Python are collected too, in order; they are shown
    as ever.

    Args:
        logger: The logger of the run.
    """
    found: list[str] = []
    collector, show = _Collector(found), warnings.showwarning

    def showing(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        found.append(str(message))
        show(message, category, filename, lineno, file, line)

    logger.addHandler(collector)
    warnings.showwarning = showing
    try:
        yield found
    finally:
        logger.removeHandler(collector)
        if warnings.showwarning is showing:
            warnings.showwarning = show


class BatchClock:
    """The time of a search, and what its first asked batch foretells.

    Args:
        clock: Tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.started = clock()
        self.per_arch: float | None = None
        self.first = 0

    def batch(self, seconds: float, archs: int) -> None:
        """Notes an asked batch; the first one is what the forecast is of."""
        if self.per_arch is None and archs:
            self.per_arch, self.first = seconds / archs, archs

    @property
    def seconds(self) -> float:
        """Since this was made."""
        return self.clock() - self.started

    def forecast(self, archs: int) -> dict[str, Any]:
        """The forecast fields of :class:`~pinas_mm.visualization.run_facts.RunFacts` for a search
        of so many archs; none before its first batch."""
        if self.per_arch is None:
            return {}
        return dict(forecast_seconds=self.per_arch * archs, forecast_archs=self.first)
