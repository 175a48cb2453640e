import json
import subprocess
import sys

import pytest

from pinas_mm.scoring.distributed import evaluate_on_ranks

pytestmark = pytest.mark.distributed
ARCHS = [(2, 1), (0, 1), (2, 0), (0, 0), (1, 0)]
# Each rank evaluates, and writes what it was given, and what it gets or raises.
SCRIPT = """
import json, sys
import torch.distributed as dist
from pinas_mm.scoring.distributed import evaluate_on_ranks

folder, rank = sys.argv[1], int(sys.argv[2])
dist.init_process_group(
    'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2
)
archs = [tuple(arch) for arch in json.loads(sys.argv[3])]

def attempt(archs, raises=False):
    given = []
    def evaluate(share):
        given.extend(share)
        if raises:
            raise ValueError('no memory')
        return [dict(score=10 * first + second) for first, second in share]
    try:
        return given, evaluate_on_ranks(evaluate, archs)
    except Exception as error:
        return given, f'{type(error).__name__}: {error}'

found = dict(
    all=attempt(archs),
    one=attempt(archs[:1]),
    fails=attempt(archs, raises=rank == 1),
    differ=attempt(archs if rank == 0 else archs[::-1]),
    again=attempt(archs),
)
with open(f'{folder}/{rank}.json', 'w') as file:
    json.dump(found, file)
dist.destroy_process_group()
"""


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ranks')
    started = [
        subprocess.Popen(
            [sys.executable, '-c', SCRIPT, str(folder), str(rank), json.dumps(ARCHS)],
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    for process in started:
        errors = process.communicate(timeout=300)[1]
        assert process.returncode == 0, errors.decode()
    return [json.loads((folder / f'{rank}.json').read_text()) for rank in range(2)]


SCORES = [dict(score=10 * first + second) for first, second in ARCHS]


def test_one_rank_evaluates_all():
    assert (
        evaluate_on_ranks(lambda archs: (dict(score=10 * a + b) for a, b in archs), ARCHS) == SCORES
    )


@pytest.mark.slow
def test_every_rank_gets_all_results_and_evaluates_neighbours(ranks):
    first, second = (rank['all'][0] for rank in ranks)
    assert first + second == [list(arch) for arch in sorted(ARCHS)] and len(first) == 3
    assert [rank['all'][1] for rank in ranks] == [SCORES] * 2
    assert [rank['again'] for rank in ranks] == [rank['all'] for rank in ranks]


def test_a_rank_without_a_share_gets_the_results_too(ranks):
    assert [rank['one'] for rank in ranks] == [[[list(ARCHS[0])], SCORES[:1]], [[], SCORES[:1]]]


def test_an_error_of_one_rank_stops_the_other(ranks):
    assert ranks[0]['fails'][1] == 'RuntimeError: rank 1 stopped with ValueError: no memory'
    assert ranks[1]['fails'][1] == 'ValueError: no memory'


def test_ranks_that_ask_for_other_archs_are_told(ranks):
    for rank, other in zip(ranks, (1, 0)):
        assert rank['differ'][1] == (
            f'RuntimeError: rank {other} was asked to evaluate other archs: '
            'the searchers do not agree'
        )
