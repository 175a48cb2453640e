"""What a tool started ends with it: the pool of make_truth, the workers of its trainings, and those
of a loader."""

import os
import signal
import time

import pytest
from long_runs import make_truth, pool_alone, read_for_ever
from processes import is_running, start

from pinas_mm.child_processes import end_with_parent


def wait_until(condition, seconds=30):
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize(
    'function, number, code, count',
    [
        (make_truth, signal.SIGTERM, 143, 4),
        (make_truth, signal.SIGINT, 130, 4),
        (make_truth, signal.SIGKILL, -9, 4),
        (read_for_ever, signal.SIGTERM, 143, 2),
        (pool_alone, signal.SIGTERM, -15, 2),
    ],
)
def test_what_was_started_ends_with_it(tmp_path, function, number, code, count):
    process = start(function, tmp_path, 'report', tmp_path)
    try:
        wait_until(lambda: len(list(tmp_path.glob('*.pid'))) == count or not process.is_alive())
        started = [int(path.stem) for path in tmp_path.glob('*.pid')]
        assert len(started) == count and process.pid not in started
        assert all(map(is_running, started))
        os.kill(process.pid, number)
        process.join(20)
        assert process.exitcode == code
        assert wait_until(lambda: not any(map(is_running, started)), 8)
    finally:
        process.kill()


def test_only_a_process_of_multiprocessing_has_a_parent_to_end_with():
    with pytest.raises(RuntimeError, match='expected a process that multiprocessing started'):
        end_with_parent()
