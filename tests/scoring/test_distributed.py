import json

import pytest
import two_ranks_scoring
from processes import on_two_ranks

from pinas_mm.scoring.distributed import evaluate_on_ranks

pytestmark = pytest.mark.distributed
ARCHS = [(2, 1), (0, 1), (2, 0), (0, 0), (1, 0)]


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ranks')
    on_two_ranks(two_ranks_scoring.evaluate, folder, folder, ARCHS)
    return [json.loads((folder / f'{rank}.json').read_text()) for rank in range(2)]


SCORES = [dict(score=10 * first + second) for first, second in ARCHS]


def test_one_rank_evaluates_all():
    def evaluate(archs):
        return (dict(score=10 * a + b) for a, b in archs)

    assert evaluate_on_ranks(evaluate, ARCHS, tuple) == SCORES


@pytest.mark.slow
def test_every_rank_gets_all_results_and_evaluates_neighbours(ranks):
    first, second = (rank['all'][0] for rank in ranks)
    assert first + second == [list(arch) for arch in sorted(ARCHS)] and len(first) == 3
    assert [rank['all'][1] for rank in ranks] == [SCORES] * 2
    assert [rank['again'] for rank in ranks] == [rank['all'] for rank in ranks]


@pytest.mark.slow
def test_neighbours_are_those_that_share_most(ranks):
    first, second = (rank['second'][0] for rank in ranks)
    assert (first, second) == ([[0, 0], [1, 0], [2, 0]], [[0, 1], [2, 1]])
    assert [rank['second'][1] for rank in ranks] == [SCORES] * 2


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
