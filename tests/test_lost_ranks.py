"""A rank that hangs ends the others, which name it."""

import signal
import time

import hanging_ranks
import pytest
from processes import two_ranks
from tiny_search import batches

from pinas_mm.lost_ranks import lost_rank, wait_for_ranks, watch_ranks

pytestmark = pytest.mark.distributed


@pytest.fixture
def run(tmp_path):
    """Runs two ranks; returns the first one's exit code, the report of its error, and the seconds
    since ``since`` appeared. The other one is killed in the end."""

    def run(function, *args, since):
        ranks = two_ranks(function, tmp_path, tmp_path, *args)
        try:
            while ranks[0].is_alive() and not since():
                time.sleep(0.02)
            started = time.monotonic()
            ranks[0].join(60)
            report = tmp_path / '0.txt'
            said = report.read_text() if report.exists() else ''
            return ranks[0].exitcode, said, time.monotonic() - started
        finally:
            for process in ranks:
                process.kill()
                process.join()

    return run


def test_a_rank_that_hangs_ends_the_search(run, tmp_path):
    code, said, seconds = run(hanging_ranks.search, since=lambda: batches(tmp_path / 'ranks') == 2)
    assert code == 1 and seconds < hanging_ranks.TIMEOUT + 10
    assert said.strip().splitlines()[-1] == (
        'pinas_mm.lost_ranks.LostRankError: rank 1 has ended, or has not answered for 4 s and '
        'hangs (env_cfg.dist_cfg.timeout is the limit)'
    )
    assert batches(tmp_path / 'ranks') == 2, 'what was found before is kept'


@pytest.mark.parametrize('number', [signal.SIGSTOP, signal.SIGKILL])
def test_a_rank_that_is_lost_in_a_collective_is_named(run, tmp_path, number):
    """As in training, where gradients are averaged."""
    counted = tmp_path / 'iterations0'
    code, said, seconds = run(
        hanging_ranks.train, number, since=lambda: counted.exists() and counted.read_text() == '2'
    )
    assert code == 1 and 'LostRankError: rank 1 has ended, or' in said.strip().splitlines()[-1]
    limit = hanging_ranks.TIMEOUT + hanging_ranks.GRACE + 5 if number == signal.SIGSTOP else 5
    assert seconds < limit


def test_a_bug_of_a_rank_is_no_lost_one(run, tmp_path):
    code, said, seconds = run(hanging_ranks.both_fail, since=lambda: True)
    assert code == 1 and said.strip().splitlines()[-1] == 'ZeroDivisionError'


def test_one_rank_waits_for_nobody():
    watch_ranks()
    wait_for_ranks()
    assert lost_rank(RuntimeError('gloo: connection closed')) is None
