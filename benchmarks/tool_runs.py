"""What the benchmarks that run the tools share: a run that is not made twice, what it costs, and
how far one way is ahead of another."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from pinas_mm.fileio import write_atomic

TOP = Path(__file__).resolve().parents[1]

# The tools that run now.
_running: set[subprocess.Popen] = set()


@contextmanager
def side_by_side(jobs: int) -> Iterator[Executor]:
    """A pool of threads, each of which runs one tool after the other. After an error, Ctrl-C or
    SIGTERM what runs is ended and what waits is dropped; a plain pool would run all of it first."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(_running):
            process.terminate()
        raise
    finally:
        pool.shutdown()


def once(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``make`` returned, also when that was in an earlier run."""
    if not path.exists():
        made = json.dumps(make())
        write_atomic(path, lambda file: file.write(made.encode()))
    return json.loads(path.read_text())


def tool(name: str, *arguments: Any, **environment: str) -> float:
    """Runs a tool on one thread; its CPU seconds, loader workers included."""
    process = subprocess.Popen(
        [sys.executable, TOP / 'tools' / name, *map(str, arguments)],
        cwd=TOP,
        env={**os.environ, 'OMP_NUM_THREADS': '1', **environment},
        stdout=subprocess.DEVNULL,
    )
    _running.add(process)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.terminate()
        raise
    finally:
        _running.discard(process)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return usage.ru_utime + usage.ru_stime


def ahead(differences: np.ndarray) -> str:
    """The mean of paired differences and its interval by Student's t."""
    mean = float(np.mean(differences))
    if np.ptp(differences) == 0:  # one seed, or no spread
        return f'{mean:+.1f}'
    low, high = stats.t.interval(0.95, len(differences) - 1, mean, stats.sem(differences))
    return f'{mean:+.1f} [{low:.1f}, {high:.1f}]'
