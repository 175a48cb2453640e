import numpy as np
import pytest
import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.registry import MODELS, init_default_scope
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import pinas_mm  # noqa: F401
from pinas_mm.costs.counter import counting
from pinas_mm.costs.measure import measure_costs
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import (
    ElasticResNet,
    SearchableBackbone,
    SearchableMacroNet,
    SearchableNASBench201,
    SearchableResNeSt,
    SearchableShuffleNetV2,
)
from pinas_mm.spaces import Candidate, Position, SearchSpace

WIDTH, SIZE = 0.25, (64, 96)


def counted(model, run=None):
    """MACs by PyTorch's own counter of what is computed, parameters by enumeration."""
    model.eval()
    with FlopCounterMode(display=False) as counter:
        (run or model)(torch.zeros(1, 3, *SIZE, device=next(model.parameters()).device))
    return counter.get_total_flops() // 2, sum(p.numel() for p in model.parameters())


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
    assert resnest.arch_costs(resnest.space.decode(arch)) == dict(
        macs=macs, backbone_macs=macs, params=params
    )


@pytest.mark.slow
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


@pytest.mark.slow
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
        macs, params = counted(subnet)
        expected = dict(macs=macs, backbone_macs=macs, params=params)
        assert table.arch_costs(arch) == expected
        assert measure_costs(subnet, SIZE).arch_costs(arch) == expected
        costs.append(expected)
    for name in expected:
        array = table.array(name, archs)
        assert array.dtype == np.int64 and array.tolist() == [cost[name] for cost in costs]
        assert len(set(array.tolist())) == len(archs)


def test_an_elastic_backbones_table_gives_the_costs_of_the_built_subnets():
    """Of a part of a parameter only the part is counted, and of blocks that do not run nothing."""

    def build(arch=None):
        return ElasticResNet(18, arch=arch, widen_factor=WIDTH)

    supernet = build()
    table, space = measure_costs(supernet, SIZE), supernet.space
    archs = [space.smallest, space.largest, space.sample(np.random.default_rng(1))]
    for arch in archs:
        macs, params = counted(build(arch))
        assert table.arch_costs(arch) == dict(macs=macs, backbone_macs=macs, params=params)
        assert table.arch_costs(space.canonical(arch)) == table.arch_costs(arch)
    for name in ('macs', 'params'):
        assert table.range(name) == tuple(table.array(name, archs[:2]))


def test_of_a_parameter_that_is_read_in_part_the_part_counts():
    layer = nn.Linear(4, 6)

    def part(x):
        return x @ layer.weight[:2].t() + layer.weight[:2, 0] + layer.weight[4].sum()

    def twice(x):
        return layer(x) + x @ layer.weight.t()

    with torch.no_grad(), counting() as count:
        assert count(part, torch.zeros(1, 4))[2] == 8 + 4 + 2
        assert count(twice, torch.zeros(1, 4))[2] == 24 + 6


@pytest.mark.parametrize('channels', [1, 4])
def test_costs_are_of_images_with_as_many_channels_as_the_backbone_reads(channels):
    three, other = (
        measure_costs(SearchableMacroNet(widen_factor=0.25, in_channels=count), 32)
        for count in (3, channels)
    )
    # The stem's 3x3 convolution alone differs: 8 output channels, 32 x 32 pixels.
    weights = (channels - 3) * 8 * 9
    assert other.fixed['params'] - three.fixed['params'] == weights
    assert other.fixed['backbone_macs'] - three.fixed['backbone_macs'] == weights * 32 * 32


def test_a_whole_model_is_counted_with_its_head():
    model = classifier()
    table, bare = measure_costs(model, SIZE), measure_costs(model.backbone, SIZE)
    arch = (1, 0, 2, 0, 1, 2, 0, 0)
    subnet = classifier(arch)
    costs, of_backbone = table.arch_costs(arch), bare.arch_costs(arch)
    assert (costs['macs'], costs['params']) == counted(subnet, lambda x: subnet(x, mode='tensor'))
    head = {name: costs[name] - of_backbone[name] for name in costs}
    assert head == dict(macs=320 * 10, backbone_macs=0, params=320 * 10 + 10)
    assert costs['backbone_macs'] == of_backbone['macs']


def test_one_number_is_a_square():
    with torch.device('meta'):
        net = SearchableMacroNet(widen_factor=WIDTH)
    square, wide = measure_costs(net, 32), measure_costs(net, (32, 64))
    arch = (2,) * 8
    assert square.arch_costs(arch) == measure_costs(net, (32, 32)).arch_costs(arch)
    assert wide.arch_costs(arch)['macs'] == 2 * square.arch_costs(arch)['macs']


class Flat(nn.Module):
    """Runs a block on the pixels as a sequence, ``(N, H * W, C)`` or ``(N, C, H * W)``."""

    def __init__(self, block, channels_last=True):
        super().__init__()
        self.block, self.channels_last = block, channels_last

    def forward(self, x):
        flat = x.flatten(2).mT if self.channels_last else x.flatten(2)
        self.block(flat)
        return x


class Attention(nn.Module):
    def forward(self, x):
        return F.scaled_dot_product_attention(x, x, x)


class MultiheadAttention(nn.MultiheadAttention):
    def __init__(self, need_weights):
        super().__init__(4, 2, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x):
        return super().forward(x, x, x, need_weights=self.need_weights)[0]


class Product(nn.Module):
    def forward(self, x):
        return x @ x.mT


class ProductWithAVector(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return x.reshape(-1, 4) @ self.weight, self.weight @ self.weight


class Volume(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(2, 5, (2, 3, 3), bias=False)

    def forward(self, x):
        self.conv(x.unflatten(1, (2, 2)))
        return x


# On maps of 4 channels, 6 x 8 pixels: MACs and parameters by hand.
OPERATIONS = dict(
    transposed=(lambda: nn.ConvTranspose2d(4, 6, 3, 2, groups=2), 48 * 4 * 3 * 9, 4 * 3 * 9 + 6),
    conv1d=(lambda: Flat(nn.Conv1d(4, 6, 3), False), 46 * 6 * 4 * 3, 6 * 4 * 3 + 6),
    conv3d=(Volume, 1 * 4 * 6 * 5 * 2 * 18, 5 * 2 * 18),
    attention=(lambda: Flat(Attention()), 2 * 48 * 48 * 4, 0),
    # Of inputs and output 4 x 4 weights per pixel, and with each head as above on 2 channels.
    multihead=(lambda: Flat(MultiheadAttention(True)), 48 * 64 + 2 * 48 * 48 * 4, 64 + 16),
    without_weights=(lambda: Flat(MultiheadAttention(False)), 48 * 64 + 2 * 48 * 48 * 4, 64 + 16),
    product=(lambda: Flat(Product()), 48 * 48 * 4, 0),
    vector=(lambda: Flat(ProductWithAVector()), 48 * 4 + 4, 4),
    grouped=(lambda: nn.Conv2d(4, 6, 3, groups=2), 4 * 6 * 6 * 2 * 9, 6 * 2 * 9 + 6),
    linear=(lambda: Flat(nn.Linear(4, 7)), 48 * 4 * 7, 4 * 7 + 7),
)


class OperationNet(SearchableBackbone):
    """A choice between the operations."""

    space = SearchSpace(
        'operations',
        (tuple(Candidate(name, {}) for name in OPERATIONS),),
        (Position(0, 4, 4, 1, (0,)),),
        stem_channels=4,
    )

    def build_stem(self):
        return nn.Conv2d(3, 4, 1, bias=False)

    def build_candidate(self, position, candidate):
        return OPERATIONS[candidate.name][0]()

    def residual_norms(self):
        return iter(())


@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_every_kind_of_convolution_product_and_attention_is_counted(device):
    with torch.device(device):
        table = measure_costs(OperationNet(), (6, 8))
    _, macs, params = zip(*OPERATIONS.values())
    assert dict(zip(OPERATIONS, table.tables['macs'][0].tolist())) == dict(zip(OPERATIONS, macs))
    assert dict(zip(OPERATIONS, table.tables['params'][0])) == dict(zip(OPERATIONS, params))
    assert table.fixed['macs'] == 48 * 3 * 4 and table.fixed['params'] == 12


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
