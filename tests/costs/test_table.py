import itertools
import re

import numpy as np
import pytest

from pinas_mm.costs.table import Constraints, CostTable
from pinas_mm.errors import InputError
from pinas_mm.spaces import Candidate, Position, SearchSpace
from pinas_mm.spaces.nasbench_macro import NASBENCH_MACRO


@pytest.fixture
def table():
    """Costs that can be added up in the head: 100 and one per slot's candidate; 5 and ten times
    that."""
    space = NASBENCH_MACRO
    steps = [np.arange(count) for count in space.num_candidates]
    return CostTable(
        space, dict(macs=100, params=5), dict(macs=steps, params=[10 * step for step in steps])
    )


ARCHS = [(0,) * 8, (1,) * 8, (2,) * 8, (2, 0, 1, 0, 0, 0, 0, 0)]


def test_costs_add_up(table):
    assert table.array('macs', ARCHS).tolist() == [100, 108, 116, 103]
    assert table.array('params', np.array(ARCHS)).tolist() == [5, 85, 165, 35]
    assert table.arch_costs(ARCHS[3]) == dict(macs=103, params=35)


def test_quartiles_are_those_of_all_archs(table):
    """Nearly: a thousand are drawn. The ends are exact."""
    every = [100 + sum(arch) for arch in itertools.product(range(3), repeat=8)]
    least, *middle, most = table.quartiles('macs')
    assert (least, most) == (100, 116)
    assert np.abs(np.array(middle) - np.quantile(every, (0.25, 0.5, 0.75))).max() <= 1
    assert len(set(middle)) == 3 and table.quartiles('macs') == (least, *middle, most)
    text = 'macs from 100 to 116, quartiles ' + ', '.join(f'{value:g}' for value in middle)
    assert table.range_text('macs') == text == Constraints(table, macs=(101, 115)).ranges()
    both = Constraints(table, macs=115, params=1000).ranges()
    assert both.startswith(f'{text}; params from 5 to 165')
    with pytest.raises(InputError, match="unknown cost 'latency'"):
        table.quartiles('latency')


def test_positions_may_read_several_slots():
    """A cell space: both positions read both slots."""
    base = NASBENCH_MACRO
    cell = type(base.positions[0])(0, 8, 8, 1, (0, 1))
    space = SearchSpace('cells', base.candidates[:2], (cell, cell), 8)
    pairs = np.arange(9).reshape(3, 3)
    table = CostTable(space, dict(macs=1), dict(macs=[pairs, 10 * pairs]))
    assert table.array('macs', [(0, 0), (1, 2), (2, 1)]).tolist() == [1, 56, 78]


@pytest.mark.parametrize(
    'limits, kept',
    [
        ({}, [True, True, True, True]),
        (dict(macs=None), [True, True, True, True]),
        (dict(macs=108), [True, True, False, True]),
        (dict(macs=107.9), [True, False, False, True]),
        (dict(macs=(103, None)), [False, True, True, True]),
        (dict(macs=(None, 103)), [True, False, False, True]),
        (dict(macs=[101, 110], params=(None, 50)), [False, False, False, True]),
        (dict(macs=1), [False, False, False, False]),
    ],
)
def test_limits_are_inclusive_and_all_hold(table, limits, kept):
    mask = Constraints(table, **limits).mask(ARCHS)
    assert mask.dtype == bool and mask.tolist() == kept


@pytest.mark.parametrize(
    'limits, message',
    [
        (dict(flops=100), r"unknown cost 'flops', expected one of \['macs', 'params'\]"),
        (dict(macs=(110, 100)), 'macs of at least 110 and at most 100'),
    ],
)
def test_wrong_limits_are_named(table, limits, message):
    with pytest.raises(InputError, match=message):
        Constraints(table, **limits)


def test_parallel_slots_add_up_and_a_position_may_read_none():
    """Two cells of two edges, with a block between them that is no choice."""
    base = NASBENCH_MACRO
    cell, block = Position(0, 8, 8, 1, (0, 1), parallel=True), Position(0, 8, 8, 1, ())
    space = SearchSpace('cells', base.candidates[:2], (cell, block, cell), 8)
    edges = [np.arange(3), 10 * np.arange(3)]
    table = CostTable(space, dict(macs=1), dict(macs=[*edges, np.array(1000), *edges]))
    assert table.array('macs', [(0, 0), (1, 2), (2, 1)]).tolist() == [1001, 1043, 1025]


def test_limits_are_readable(table):
    assert (
        str(Constraints(table, macs=50e6)) == 'macs in [-inf, 5e+07]'
        and str(Constraints(table)) == 'no constraints'
    )


def test_limits_in_messages_are_those_that_are_stated(table):
    limits = dict(macs=(None, 50e6), params=(10, None))
    assert Constraints(table, **limits).text() == 'macs <= 5e+07, params >= 10'
    assert Constraints(table, macs=(1e3, 2e6)).text() == '1000 <= macs <= 2e+06'
    assert Constraints(table).text() == Constraints(table, macs=None).text() == 'no limits'


def test_a_limit_that_is_named_is_kept_by_a_quarter_of_the_archs():
    """Nearly: a thousand are drawn."""
    rng, space = np.random.default_rng(0), NASBENCH_MACRO
    table = CostTable(space, dict(latency=2.0), dict(latency=list(rng.random((8, 3)))))
    every = list(itertools.product(range(3), repeat=8))
    for limits, pattern in (
        (dict(latency=1), r'latency=(?P<most>\S+)'),
        (dict(latency=(9, None)), r'latency=\((?P<least>\S+), None\)'),
    ):
        text = Constraints(table, **limits).ranges()
        named = re.search(f'; expected for example {pattern}, which a quarter of them keep$', text)
        ends = [named.groupdict().get(end) for end in ('least', 'most')]
        fitting = Constraints(table, latency=[end and float(end) for end in ends])
        assert not Constraints(table, **limits).mask(every).any()
        assert 0.22 < fitting.mask(every).mean() < 0.28


@pytest.mark.parametrize('slots', [[(0,), (1,), (2,)], [(0, 1), (0, 1), (2,)], [(0, 1, 2)] * 3])
def test_the_range_is_that_of_all_archs_also_where_positions_share_slots(slots):
    space = SearchSpace(
        'toy',
        ((Candidate('a', {}), Candidate('b', {}), Candidate('c', {})),) * 3,
        tuple(Position(0, 1, 1, 1, each) for each in slots),
        1,
    )
    rng = np.random.default_rng(0)
    table = CostTable(
        space, dict(macs=7), dict(macs=[rng.integers(1, 100, [3] * len(each)) for each in slots])
    )
    costs = table.array('macs', list(itertools.product(range(3), repeat=3)))
    assert table.range('macs') == (costs.min(), costs.max())


def test_the_range_of_cells_whose_edges_cost_by_themselves():
    cell, block = Position(0, 1, 1, 1, (0, 1), parallel=True), Position(0, 1, 1, 1, ())
    space = SearchSpace(
        'toy', ((Candidate('a', {}), Candidate('b', {})),) * 2, (cell, block, cell), 1
    )
    table = CostTable(
        space,
        dict(macs=7),
        dict(macs=[np.array(each) for each in ([1, 5], [9, 2], 100, [6, 3], [0, 4])]),
    )
    costs = table.array('macs', list(itertools.product(range(2), repeat=2)))
    assert table.range('macs') == (costs.min(), costs.max()) == (120, 124)


def test_slots_have_costs_of_their_own_where_they_add_up():
    """Two cells of two edges, with a block between them that is no choice."""
    cell, block = Position(0, 1, 1, 1, (0, 1), parallel=True), Position(0, 1, 1, 1, ())
    space = SearchSpace(
        'toy', ((Candidate('a', {}), Candidate('b', {})),) * 2, (cell, block, cell), 1
    )
    tables = [np.array(each) for each in ([1, 5], [9, 2], 100, [6, 3], [0, 4])]
    first, second = CostTable(space, dict(macs=7), dict(macs=tables)).slot_costs('macs')
    assert first.tolist() == [1 + 6, 5 + 3] and second.tolist() == [9 + 0, 2 + 4]
    assert [table.tolist() for table in tables] == [[1, 5], [9, 2], 100, [6, 3], [0, 4]]


def test_slots_that_are_read_together_have_no_costs_of_their_own():
    space = SearchSpace(
        'toy', ((Candidate('a', {}), Candidate('b', {})),) * 2, (Position(0, 1, 1, 1, (0, 1)),), 1
    )
    table = CostTable(space, dict(macs=0), dict(macs=[np.ones((2, 2))]))
    with pytest.raises(InputError, match=r"'toy': position 0 reads slots \[0, 1\] together"):
        table.slot_costs('macs')


def test_the_terms_of_an_arch_and_what_every_arch_pays_are_its_cost(table):
    terms = table.term_costs('macs', ARCHS[3])
    assert terms == [2, 0, 1, 0, 0, 0, 0, 0] and sum(terms) + 100 == 103


def test_what_is_counted_with_every_slot_of_a_cell_counts_once():
    """Two edges; with the first candidates the whole cell costs 6, which both tables count."""
    base = NASBENCH_MACRO
    cell = Position(0, 8, 8, 1, (0, 1), parallel=True)
    space = SearchSpace('edges', base.candidates[:2], (cell,), 8)
    edges = [np.array([2, 5, 7]), np.array([4, 4, 9])]
    tables = [edges[0] + 4, edges[1] + 2]
    table = CostTable(space, dict(macs=-6), dict(macs=tables))
    assert table.arch_costs((1, 2)) == dict(macs=5 + 9)
    assert sum(table.term_costs('macs', (1, 2))) == 5 + 9
    assert sum(table.term_costs('macs', (0, 0))) == 6
