import json
import math
import re
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.utils.benchmark
from mmengine.registry import init_default_scope
from tiny_elastic import TinyElastic
from wrong_files import of_bytes, of_json, of_values, try_files

from pinas_mm.costs import latency as module
from pinas_mm.costs.latency import measure_latency, read_latency
from pinas_mm.costs.measure import measure_costs
from pinas_mm.costs.table import Constraints
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet, SearchableNASBench201, SearchableResNeSt
from pinas_mm.spaces import Candidate, Position, SearchSpace, get_space

IMAGES = torch.zeros(1, 3, 32, 32)
KNOWN = np.random.default_rng(0).uniform(0.001, 0.004, (8, 3))


class Clock:
    """Stands for the clock and the timer, so that no test depends on how busy the machine is: parts
    put the clock forward by known seconds."""

    now = 0.0

    def __init__(self, stmt, globals, num_threads):
        self.run = partial(globals['run'], globals['images'])

    def timeit(self, number):
        start = Clock.now
        for _ in range(number):
            self.run()
        return SimpleNamespace(mean=(Clock.now - start) / number)


@pytest.fixture(scope='module')
def backbone():
    init_default_scope('mmpretrain')
    return SearchableMacroNet(widen_factor=0.125)


@pytest.fixture
def measure_known(monkeypatch):
    """Measures a backbone whose positions take known times, with 1 ms for the stem; 5 % of the time
    varies."""

    def measure(backbone, seconds):
        rng = np.random.default_rng(1)

        def run(index, arch, x):
            Clock.now += seconds(index, arch) * rng.uniform(0.95, 1.05)
            return x

        backbone.run = run
        backbone.tail = torch.nn.Identity()
        backbone.stem.register_forward_hook(lambda *_: setattr(Clock, 'now', Clock.now + 0.001))
        monkeypatch.setattr(torch.utils.benchmark, 'Timer', Clock)
        monkeypatch.setattr(module.time, 'perf_counter', lambda: Clock.now)
        return measure_latency(backbone, IMAGES, rounds=9, num_check=20)

    return measure


@pytest.fixture
def known(measure_known):
    return measure_known(
        SearchableMacroNet(widen_factor=0.125), lambda index, arch: KNOWN[index, arch[index]]
    )


def test_latency_of_images_with_other_channels():
    backbone = SearchableMacroNet(widen_factor=0.125, in_channels=1)
    latency = measure_latency(backbone, torch.zeros(1, 1, 32, 32), rounds=1, num_check=3)
    assert latency.setting['images'] == [1, 1, 32, 32]
    with pytest.raises(
        InputError, match=r'images of shape \(1, 3, 32, 32\): .* in_channels=1: expected \(1, 1, 32'
    ):
        measure_latency(backbone, IMAGES, rounds=1, num_check=3)


def test_known_times_are_found(known):
    """In ms."""
    np.testing.assert_allclose(known.tables, 1000 * KNOWN, rtol=0.05)
    assert known.fixed == pytest.approx(1)
    assert (
        known.check['median_error'] < 0.03
        and known.check['rank_correlation'] > 0.9
        and len(known.check['subnets']) == 20
    )
    for subnet in known.check['subnets']:
        total = 1 + 1000 * KNOWN[range(8), subnet['arch']].sum()
        assert subnet['measured'] == pytest.approx(total, rel=0.05) == subnet['predicted']


def test_known_times_of_edges_that_run_together_are_found(measure_known, tmp_path):
    """A table per edge; the differences between its entries are what can be known of an edge
    alone."""
    backbone = SearchableNASBench201(widen_factor=0.125)
    edges = np.random.default_rng(2).uniform(0, 0.004, (6, 5))
    found = measure_known(
        backbone,
        lambda index, arch: (
            (index + 1) * (0.003 if index in (5, 11) else 0.002 + edges[range(6), arch].sum())
        ),
    )
    tables = iter(map(np.array, found.tables))
    for index, position in enumerate(backbone.space.positions):
        if position.parallel:
            cell = np.array([next(tables) for _ in range(6)])
            steps = cell - cell[:, :1]
            np.testing.assert_allclose(
                steps, 1000 * (index + 1) * (edges - edges[:, :1]), atol=1.5 * (index + 1)
            )
        else:
            np.testing.assert_allclose(next(tables), 1000 * (index + 1) * 0.003, rtol=0.05)
    assert next(tables, None) is None
    assert found.check['median_error'] < 0.03 and found.check['rank_correlation'] > 0.9
    found.write(tmp_path / 'latency.json')
    assert read_latency(tmp_path / 'latency.json', backbone) == found


def test_a_bias_is_what_whole_subnets_take_more_than_the_table_says(known):
    subnets = [dict(arch=[0] * 8, predicted=10.0, measured=value) for value in (8.0, 12.0, 13.0)]
    assert replace(known, check=dict(known.check, subnets=subnets)).bias == pytest.approx(0.2)
    assert math.isnan(replace(known, check={}).bias)


def test_it_becomes_a_cost_and_a_limit(known, backbone, tmp_path):
    known.write(tmp_path / 'latency.json')
    found = read_latency(tmp_path / 'latency.json', backbone)
    assert (
        found == known
        and found.setting['images'] == [1, 3, 32, 32]
        and found.setting['dtype'] == 'float32'
    )
    costs = measure_costs(backbone, 32)
    found.add_to(costs)
    arch = (0, 1, 2, 0, 1, 2, 0, 1)
    expected = found.fixed + sum(table[choice] for table, choice in zip(found.tables, arch))
    assert costs.arch_costs(arch)['latency'] == pytest.approx(expected)
    assert Constraints(costs, latency=expected + 1e-6).mask([arch]).tolist() == [True]
    assert Constraints(costs, latency=expected - 1e-3).mask([arch]).tolist() == [False]


def test_a_real_backbone_is_measured_and_left_as_it_was(backbone):
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    seen = []
    table = measure_latency(
        backbone,
        IMAGES,
        torch.bfloat16,
        rounds=3,
        num_check=4,
        on_progress=lambda *args: seen.append(args),
    )
    assert np.shape(table.tables) == (8, 3) and table.setting['dtype'] == 'bfloat16'
    assert all(subnet['measured'] > 0 for subnet in table.check['subnets'])
    assert (
        all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
        and backbone._arch is None
    )
    assert backbone.part_runner is None and seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_no_kernel_is_made_while_parts_are_timed(monkeypatch):
    """The subnet that is deployed has it."""
    monkeypatch.setattr('pinas_mm.models.backbones.elastic.smaller_kernel', lambda *_: 1 / 0)
    backbone = TinyElastic(matrices=True)
    measure_latency(backbone, IMAGES, rounds=1, num_check=2)
    backbone.set_arch(backbone.space.smallest)
    with pytest.raises(ZeroDivisionError):
        backbone(IMAGES)


@pytest.mark.parametrize(
    'name, count',
    [('nasbench_macro', 3), ('resnest50', 4), ('nasbench201', 5), ('shufflenetv2', 4)],
)
def test_a_round_of_archs_has_every_candidate_of_every_position(name, count):
    space = get_space(name)
    for seed in range(3):
        archs = np.array(list(module.covering_archs(space, np.random.default_rng(seed))))
        assert len(archs) == count
        assert [set(column) for column in archs.T.tolist()] == [
            set(range(n)) for n in space.num_candidates
        ]


def test_a_round_of_archs_has_every_combination_that_a_cell_reads():
    candidates = (Candidate('a', {}), Candidate('b', {}))
    space = SearchSpace(
        'cells',
        (candidates,) * 3,
        tuple(Position(0, 8, 8, 1, slots) for slots in ((0, 1), (2,), (0, 1))),
        8,
    )
    archs = list(module.covering_archs(space, np.random.default_rng(0)))
    assert (
        len(archs) == 4
        and len({arch[:2] for arch in archs}) == 4
        and {arch[2] for arch in archs} == {0, 1}
    )


@pytest.mark.parametrize(
    'name, count', [('elastic_resnet18', 6), ('elastic_resnet50', 9), ('elastic_mobilenet_v3', 27)]
)
def test_a_round_of_archs_has_every_width_at_every_depth(name, count):
    """Where blocks have the depth of their stage in common, no more archs than one has
    combinations."""
    space = get_space(name)
    archs = np.array(list(module.covering_archs(space, np.random.default_rng(0))))
    assert len(archs) == count
    for position in space.positions:
        found = {tuple(row) for row in archs[:, list(position.slots)].tolist()}
        assert len(found) == np.prod([space.num_candidates[slot] for slot in position.slots])


FITS = {
    'check=mapping': 'the table is doubted',
    'no check.*': 'the table is doubted',
    'check.*=-1': 'the table is doubted',
    'check.*=0*': 'the table is doubted',
    'check.subnets*': 'not read',
    'setting=mapping': 'not read',
    '*setting.*': 'not read',
    'fixed=0*': 'another time',
    'tables.*=0*': 'another time',
    'a byte order mark': 'editors on Windows write it',
    'Windows lines': 'editors on Windows write them',
    'flip *': 'a digit, or what is not read',
}


def test_wrong_files_are_refused_in_one_line(known, backbone, tmp_path):
    path = tmp_path / 'latency.json'
    check = known.check | dict(subnets=known.check['subnets'][:2])
    replace(known, check=check).write(path)
    good = path.read_bytes()
    data = json.loads(good)
    files = dict(of_values(data)) | dict(of_json(data)) | dict(of_bytes(good))
    for name, tables in dict(
        few=data['tables'][:7],
        many=[*data['tables'], [1, 1, 1]],
        short=[[1, 1]] * 8,
        ragged=[[1, [1], 1]] * 8,
        deep=[[[1, 1, 1]]] * 8,
        text=[['1', '1', '1']] * 8,
        negative=[[-1, -1, -1]] * 8,
        huge=[[1e308, 1e308, 1e308]] * 8,
        truths=[[True, True, True]] * 8,
    ).items():
        files[f'{name} tables'] = json.dumps(data | dict(tables=tables)).encode()
    free = data | dict(tables=[[0, 0, 0]] * 8)
    files['no time at all'] = json.dumps(free | dict(fixed=0)).encode()
    tried, refused, _ = try_files(path, lambda path: read_latency(path, backbone), files, FITS)
    assert tried > 300 and refused > 200


def test_differences_of_edges_may_be_negative_but_no_whole_arch(tmp_path):
    backbone = SearchableNASBench201(widen_factor=0.125)
    shapes = [[5] * len(slots) for _, slots in backbone.space.cost_terms]
    tables = [np.zeros(shape).tolist() for shape in shapes]
    edge = next(i for i, table in enumerate(tables) if np.ndim(table) == 1)
    tables[edge] = [1.0, -0.5, 0, 0, 0]
    path = tmp_path / 'latency.json'
    for fixed, fits in ((0.6, True), (0.5, False), (0.4, False)):
        found = module.Latency('nasbench201', 0.125, {}, fixed, tables, {})
        found.write(path)
        if fits:
            assert read_latency(path, backbone) == found
        else:
            with pytest.raises(InputError, match='the fastest arch would take -?0.* ms'):
                read_latency(path, backbone)


def test_a_correlation_that_is_no_number_is_kept_and_doubted(known, backbone, tmp_path):
    """Of a space whose archs are all as fast."""
    path = tmp_path / 'latency.json'
    replace(known, check=dict(median_error=0.1, rank_correlation=float('nan'))).write(path)
    assert 'correlation of nan' in read_latency(path, backbone).doubt()


def test_wrong_tables_are_named(known, backbone, tmp_path):
    path = tmp_path / 'latency.json'
    known.write(path)
    with pytest.raises(
        InputError,
        match="latencies of 'nasbench_macro' at widen_factor=0.125, expected 'nasbench_macro' at "
        '0.25',
    ):
        read_latency(path, SearchableMacroNet(widen_factor=0.25))
    with pytest.raises(InputError, match="expected 'resnest50'"):
        read_latency(path, SearchableResNeSt(widen_factor=0.25))
    data = json.loads(path.read_text())
    for wrong in (
        data | dict(tables=data['tables'][:7]),
        dict(space='x'),
        [],
        data | dict(tables='x'),
    ):
        path.write_text(json.dumps(wrong))
        with pytest.raises(
            InputError, match='latency.json: (has 7 tables|.*is missing|.*expected a)'
        ):
            read_latency(path, backbone)
    with pytest.raises(InputError, match='none.json: no such file'):
        read_latency(tmp_path / 'none.json', backbone)


@pytest.mark.parametrize(
    'model, message',
    [
        (torch.nn.Conv2d(3, 3, 1), 'Conv2d has no searchable backbone'),
        (SearchableMacroNet(widen_factor=0.125, arch='22222222'), 'arch=22222222: a supernet'),
    ],
)
def test_a_model_without_a_supernet_is_named(model, message):
    with pytest.raises(InputError, match=message):
        measure_latency(model, IMAGES)


@pytest.mark.parametrize(
    'check, doubted',
    [
        (dict(median_error=0.098, rank_correlation=0.87), None),
        (dict(median_error=0.2, rank_correlation=0.8), None),
        (dict(median_error=0.58, rank_correlation=0.95), 'error of 58% and .* correlation of 0.95'),
        (dict(median_error=0.05, rank_correlation=-0.77), 'of 5% and .* correlation of -0.77'),
        (dict(median_error=0.05, rank_correlation=float('nan')), 'correlation of nan; expected at'),
        ({}, 'error of nan% and'),
    ],
)
def test_a_table_that_does_not_tell_fast_archs_from_slow_ones_says_so(known, check, doubted):
    doubt = replace(known, check=check).doubt()
    assert (doubt is None) if doubted is None else re.search(doubted, doubt)
