import numpy as np
import pytest
import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.registry import MODELS, init_default_scope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import pinas_mm  # noqa: F401
from pinas_mm.costs.cost import Constraints, CostTable, measure_costs
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import (
    SearchableMacroNet,
    SearchableNASBench201,
    SearchableResNeSt,
    SearchableShuffleNetV2,
)
from pinas_mm.spaces import Position, SearchSpace

WIDTH, SIZE = 0.25, (64, 96)


def counted(model, run=None):
    """MACs by PyTorch's own counter of what is computed, parameters by enumeration."""
    model.eval()
    with FlopCounterMode(display=False) as counter:
        (run or model)(torch.zeros(1, 3, *SIZE, device=next(model.parameters()).device))
    return dict(
        macs=counter.get_total_flops() // 2, params=sum(p.numel() for p in model.parameters())
    )


def classifier(arch=None):
    init_default_scope('mmpretrain')
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=WIDTH, arch=arch),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=320),
        )
    )


@pytest.fixture(scope='module')
def resnest():
    with torch.device('meta'):
        return measure_costs(SearchableResNeSt(), 224)


@pytest.mark.parametrize(
    'arch, macs, params',
    [
        ('3013231203213032', 5_330_245_584, 24_997_278),  # published as Pi-NAS-cls, 5.330 G
        ('3333113330011021', 5_251_596_608, 24_990_016),  # published as Pi-NAS-trans, 5.252 G
    ],
)
def test_published_costs(resnest, arch, macs, params):
    assert resnest.arch_costs(resnest.space.decode(arch)) == dict(macs=macs, params=params)


@pytest.mark.parametrize(
    'backbone',
    [SearchableMacroNet, SearchableResNeSt, SearchableNASBench201, SearchableShuffleNetV2],
)
def test_macs_are_mmengines_counts_of_convolutions_and_linear_layers(backbone):
    """Per operator: its total also counts BN and pooling."""
    supernet = backbone(widen_factor=WIDTH)
    table, rng = measure_costs(supernet, SIZE), np.random.default_rng(0)
    for _ in range(3):
        arch = backbone.space.sample(rng)
        analyzer = FlopAnalyzer(
            backbone(arch=arch, widen_factor=WIDTH).eval(), torch.zeros(1, 3, *SIZE)
        )
        counts = (
            analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator()
        )
        assert table.arch_costs(arch)['macs'] == counts['conv'] + counts.get('linear', 0)


@pytest.mark.parametrize(
    'backbone, kwargs',
    [
        (SearchableMacroNet, {}),
        (SearchableResNeSt, {}),
        (SearchableResNeSt, dict(share_shortcut=False)),
        (SearchableNASBench201, {}),
        (SearchableShuffleNetV2, {}),
    ],
)
def test_a_supernets_table_gives_the_costs_of_the_built_subnets(backbone, kwargs):
    def build(arch=None):
        small = backbone in (SearchableNASBench201, SearchableShuffleNetV2)
        with torch.device(
            'cpu' if small else 'meta'
        ):  # many small operations are slow on the latter
            return backbone(arch=arch, widen_factor=WIDTH, **kwargs)

    table = measure_costs(build(), SIZE)
    rng = np.random.default_rng(0)
    archs, costs = backbone.space.sample_disjoint(rng), []
    for arch in archs:
        subnet = build(arch)
        expected = counted(subnet)
        assert table.arch_costs(arch) == expected
        assert measure_costs(subnet, SIZE).arch_costs(arch) == expected
        costs.append(expected)
    for name in ('macs', 'params'):
        array = table.array(name, archs)
        assert array.dtype == np.int64 and array.tolist() == [cost[name] for cost in costs]
        assert len(set(array.tolist())) == len(archs)


def test_a_whole_model_is_counted_with_its_head():
    model = classifier()
    table, bare = measure_costs(model, SIZE), measure_costs(model.backbone, SIZE)
    arch = (1, 0, 2, 0, 1, 2, 0, 0)
    subnet = classifier(arch)
    assert table.arch_costs(arch) == counted(subnet, lambda x: subnet(x, mode='tensor'))
    head = {
        name: table.arch_costs(arch)[name] - bare.arch_costs(arch)[name]
        for name in ('macs', 'params')
    }
    assert head == dict(macs=320 * 10, params=320 * 10 + 10)


def test_one_number_is_a_square():
    with torch.device('meta'):
        net = SearchableMacroNet(widen_factor=WIDTH)
    square, wide = measure_costs(net, 32), measure_costs(net, (32, 64))
    arch = (2,) * 8
    assert square.arch_costs(arch) == measure_costs(net, (32, 32)).arch_costs(arch)
    assert wide.arch_costs(arch)['macs'] == 2 * square.arch_costs(arch)['macs']


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('arch', [None, (1,) * 8])
def test_the_model_is_left_as_it_was(training, arch):
    model = classifier().train(training)
    if arch:
        model.backbone.set_arch(arch)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    measure_costs(model, SIZE)
    assert (
        all(module.training == training for module in model.modules())
        and model.backbone._arch == arch
    )
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())

    model.head.fc = nn.Linear(7, 10).train(training)
    with pytest.raises(RuntimeError):
        measure_costs(model, SIZE)
    assert (
        all(module.training == training for module in model.modules())
        and model.backbone._arch == arch
    )
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_without_a_supernet_is_named():
    with pytest.raises(InputError, match='Conv2d has no searchable backbone'):
        measure_costs(nn.Conv2d(3, 3, 1), 32)


@pytest.fixture
def table():
    """Costs that can be added up in the head: 100 and one per slot's candidate; 5 and ten times
    that."""
    space = SearchableMacroNet.space
    steps = [np.arange(count) for count in space.num_candidates]
    return CostTable(
        space, dict(macs=100, params=5), dict(macs=steps, params=[10 * step for step in steps])
    )


ARCHS = [(0,) * 8, (1,) * 8, (2,) * 8, (2, 0, 1, 0, 0, 0, 0, 0)]


def test_costs_add_up(table):
    assert table.array('macs', ARCHS).tolist() == [100, 108, 116, 103]
    assert table.array('params', np.array(ARCHS)).tolist() == [5, 85, 165, 35]
    assert table.arch_costs(ARCHS[3]) == dict(macs=103, params=35)


def test_positions_may_read_several_slots():
    """A cell space: both positions read both slots."""
    base = SearchableMacroNet.space
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
    base = SearchableMacroNet.space
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
