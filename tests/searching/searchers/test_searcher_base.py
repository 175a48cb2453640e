"""What every searcher keeps to."""

import functools
import json

import numpy as np
import pytest
from small_searchers import VARIANTS, Budget, build

from pinas_mm.errors import InputError
from pinas_mm.searching.searchers import SEARCHERS, build_searcher
from pinas_mm.spaces import SearchSpace, chain, get_space

MACRO = get_space('nasbench_macro')
TOY = SearchSpace('toy', (MACRO.candidates[0],) * 3, chain((3,), (8,), (1,), 8), 8)


@pytest.fixture(params=sorted(VARIANTS))
def make(request):
    return functools.partial(build, request.param)


def score(arch):
    return float(np.dot(arch, np.cos(np.arange(len(arch)))))


def advance(searcher, sizes):
    asked = []
    for size in sizes:
        archs = searcher.ask(size)
        searcher.tell(archs, [score(arch) for arch in archs])
        asked.append(archs)
    return asked


def test_archs_are_feasible_new_and_canonical(make):
    batches = advance(make(MACRO, feasible=Budget(7)), [8] * 12)
    archs = [arch for batch in batches for arch in batch]
    assert all(len(batch) == 8 for batch in batches) and len(set(archs)) == 96
    assert all(
        sum(arch) <= 7 and MACRO.canonical(arch) == arch == MACRO.validate(arch) for arch in archs
    )


def test_the_seed_fixes_the_sequence(make):
    sizes = [8, 1, 5, 8, 8, 8, 3, 8]
    np.random.seed(1)
    first = advance(make(MACRO), sizes)
    np.random.seed(2)
    assert advance(make(MACRO), sizes) == first != advance(make(MACRO, seed=1), sizes)


@pytest.mark.slow
@pytest.mark.parametrize('told', [0, 1, 4, 7])
@pytest.mark.parametrize('pending', [False, True])
def test_the_state_goes_through_json_and_the_search_goes_on_alike(make, told, pending):
    """Also in the middle of a batch, and while a fitted tree is still in use."""
    searcher, other = make(MACRO, feasible=Budget(9)), make(MACRO, feasible=Budget(9), seed=5)
    advance(searcher, [6] * told)
    archs = searcher.ask(6) if pending else []
    other.load_state_dict(json.loads(json.dumps(searcher.state_dict())))
    for one in (searcher, other):
        one.tell(archs, [score(arch) for arch in archs])
    assert advance(searcher, [6] * 6) == advance(other, [6] * 6)
    assert searcher.state_dict() == other.state_dict()


@pytest.mark.timeout(60)
def test_nothing_feasible_is_an_error_and_no_hang(make):
    searcher = make(MACRO, feasible=Budget(-1))
    with pytest.raises(
        InputError,
        match="no arch of space 'nasbench_macro' with sum <= -1 among 20[0-9],.*; its "
        'archs have a sum from 0$',
    ):
        searcher.ask(8)
    assert searcher.max_draws <= searcher.draws < 1.1 * searcher.max_draws


def test_a_space_is_searched_to_its_end_and_no_further(make):
    searcher = make(TOY, Budget(3), max_draws=3000)
    batches = advance(searcher, [4] * 6)
    archs = [arch for batch in batches for arch in batch]
    # Of 27 archs with sums 0 to 6, the 10 above 3 mirror the 10 below it.
    assert (
        sorted(archs) == [arch for arch in np.ndindex(3, 3, 3) if sum(arch) <= 3]
        and len(archs) == 17
    )
    assert [len(batch) for batch in batches] == [4, 4, 4, 4, 1, 0]


def test_what_was_told_is_not_asked_again(make):
    searcher = make(TOY, max_draws=3000)
    told = list(np.ndindex(3, 3, 3))[:20]
    searcher.tell(told, [score(arch) for arch in told])
    asked = [arch for batch in advance(searcher, [4, 4]) for arch in batch]
    assert sorted(asked) == list(np.ndindex(3, 3, 3))[20:]


def random_archs(searcher, budget):
    """How many archs of a search are asked before the searcher proposes any, by watching it."""
    proposed = []

    def propose(n, propose=searcher.propose):
        proposed.append(len(searcher.archs))
        return propose(n)

    searcher.propose = propose
    while len(searcher.archs) < budget and not proposed:
        advance(searcher, [1])
    return proposed[0] if proposed else budget


@pytest.mark.parametrize('name', sorted(SEARCHERS.keys() - {'random'}))
@pytest.mark.parametrize('budget', [16, 40, 60, 100])
def test_by_default_a_quarter_of_the_budget_is_random(name, budget):
    searcher = build_searcher(dict(type=name), MACRO, Budget(), 0, budget)
    published = dict(partition_tree=80, evolution=20, nsga2=50)[name]
    assert random_archs(searcher, budget) == min(published, budget // 4)
    assert searcher.num_initial == min(published, budget // 4)


@pytest.mark.parametrize(
    'config',
    [
        dict(type='partition_tree', num_initial=40),
        dict(type='evolution', population=40),
        dict(type='nsga2', population=40),
    ],
    ids=lambda config: config['type'],
)
def test_a_random_start_of_the_whole_budget_is_refused(config):
    assert build_searcher(config, MACRO, Budget(), 0, 41).num_initial == 40
    name, key = [key for key in config if key != 'type'][0], 40
    for budget, fitting in ((40, 10), (16, 4), (4, 2)):
        with pytest.raises(
            InputError,
            match=f'{name}={key} random archs with num_archs={budget}: the search would be random '
            f'to its end; expected less, such as {fitting}',
        ):
            build_searcher(config, MACRO, Budget(), 0, budget)


@pytest.mark.parametrize('name', sorted(SEARCHERS))
@pytest.mark.parametrize('budget', [1, 2, 3, 5, 9])
def test_the_smallest_searches_run_with_the_defaults_and_are_not_random(name, budget):
    if budget < 3 and name != 'random':
        message = (
            rf'num_archs={budget}: the search would be random to its end; expected at least 3, or '
            rf"searcher=dict\(type='random'\)$"
        )
        for given in ({}, {'num_initial' if name == 'partition_tree' else 'population': 2}):
            with pytest.raises(InputError, match=message):
                build_searcher(dict(type=name, **given), MACRO, Budget(), 0, budget)
        return
    searcher = build_searcher(dict(type=name), MACRO, Budget(), 0, budget)
    assert name == 'random' or searcher.num_initial < budget
    advance(searcher, [1] * budget)
    assert len(set(searcher.archs)) == budget


def test_best_are_the_highest_scores_first_told_first(make):
    searcher = make(TOY)
    archs = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 0)]
    searcher.tell(archs[:2], [1, 3])
    searcher.tell(archs[2:], [3, 2.5])
    assert searcher.best(3) == [(1, 0, 0), (2, 0, 0), (0, 1, 0)]


def test_a_wrong_arch_told_is_named(make):
    with pytest.raises(InputError, match='tell: slot 0 holds 7'):
        make(MACRO).tell([(7,) * 8], [1.0])
