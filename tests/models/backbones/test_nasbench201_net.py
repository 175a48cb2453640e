import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from pinas_mm.costs import measure_costs
from pinas_mm.models.backbones import SearchableNASBench201

SPACE = SearchableNASBench201.space
WIDTH = 0.25


def randomised(net):
    generator = torch.Generator().manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, _BatchNorm):
            for tensor, low, high in (
                (layer.weight, 0.5, 1.5),
                (layer.bias, -0.5, 0.5),
                (layer.running_mean, -0.5, 0.5),
                (layer.running_var, 0.5, 1.5),
            ):
                tensor.data.copy_(
                    torch.rand(tensor.shape, generator=generator) * (high - low) + low
                )
    return net.eval()


def images(*shape):
    return torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    'arch, params, flops',
    [
        # The least and the most of the benchmark on CIFAR-10, and two more of its archs (NATS-Bench
        # issues 18 and 36), to the last digit.
        ('000000', 73_306, 7_783_050),
        ('333333', 1_531_546, 220_119_690),
        (
            '|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|',
            802_426,
            113_951_370,
        ),
        (
            '|skip_connect~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|',
            802_426,
            113_951_370,
        ),
    ],
)
def test_costs_equal_the_benchmarks(arch, params, flops):
    """With its classifier of 10 classes: 64 x 10 weights and 10 biases. The benchmark counts the
    biases' additions as FLOPs too, and nothing else beside what we count as MACs."""
    costs = measure_costs(SearchableNASBench201(arch=arch), 32).arch_costs(SPACE.decode(arch))
    assert costs == dict(macs=flops - 640 - 10, backbone_macs=flops - 640 - 10, params=params - 650)


def by_hand(net, arch, x):
    """The network in functional form, from the paper's figure 1 and the layers' parameters."""
    state, ops = net.state_dict(), SPACE.decode(arch)

    def norm(x, name):
        return F.batch_norm(
            x,
            *(state[f'{name}.{key}'] for key in ('running_mean', 'running_var', 'weight', 'bias')),
        )

    def relu_conv_bn(x, name, stride=1):
        weight = state[f'{name}.1.weight']
        return norm(
            F.conv2d(x.relu(), weight, stride=stride, padding=weight.shape[-1] // 2), f'{name}.2'
        )

    def edge(x, cell, slot):
        operation = SPACE.candidates[slot][ops[slot]].name
        if operation.startswith('nor_conv'):
            return relu_conv_bn(x, f'layers.{cell}.{slot}.{ops[slot]}')
        pooled = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return dict(none=0 * x, skip_connect=x, avg_pool_3x3=pooled)[operation]

    x = norm(F.conv2d(x, state['stem.0.weight'], padding=1), 'stem.1')
    for index in range(17):
        if index in (5, 11):
            shortcut = F.conv2d(
                F.avg_pool2d(x, 2), state[f'layers.{index}.block.shortcut.1.weight']
            )
            x = shortcut + relu_conv_bn(
                relu_conv_bn(x, f'layers.{index}.block.first', 2), f'layers.{index}.block.second'
            )
        else:
            node1 = edge(x, index, 0)
            node2 = edge(x, index, 1) + edge(node1, index, 2)
            x = edge(x, index, 3) + edge(node1, index, 4) + edge(node2, index, 5)
    return norm(x, 'tail.0').relu()


@pytest.mark.parametrize('arch', ['323043', '014231', '432104'])
def test_the_network_is_the_papers(arch):
    net = randomised(SearchableNASBench201(arch, WIDTH))
    with torch.no_grad():
        torch.testing.assert_close(
            net(images(32, 32))[0], by_hand(net, arch, images(32, 32)), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(
    'size, expected',
    [
        ((32, 32), [(32, 32), (16, 16), (8, 8), (8, 8)]),
        ((33, 50), [(33, 50), (17, 25), (9, 13), (9, 13)]),
    ],
)
def test_stage_shapes(size, expected):
    """Odd sizes too."""
    maps = SearchableNASBench201('123401', WIDTH, out_indices=(0, 1, 2, 3))(images(*size))
    assert [tuple(m.shape) for m in maps] == [
        (2, c, *shape) for c, shape in zip((4, 8, 16, 16), expected)
    ]


def test_parameter_names_are_position_edge_candidate():
    keys = SearchableNASBench201(widen_factor=WIDTH).state_dict()
    assert {
        'layers.0.0.2.1.weight',
        'layers.16.5.3.2.running_mean',
        'layers.5.block.first.1.weight',
        'tail.0.bias',
    } <= set(keys)
    convolutions = {
        tuple(key.split('.')[1:4])
        for key in keys
        if key.startswith('layers.') and '.block.' not in key
    }
    assert convolutions == {
        (str(p), str(e), c) for p in range(17) if p not in (5, 11) for e in range(6) for c in '23'
    }


@pytest.mark.parametrize(
    'arch, canonical, edges',
    [
        ('301320', '030302', {1: 0, 3: 3, 5: 4}),
        ('331004', '133004', {1: 0, 2: 1}),
        ('300031', '030003', {1: 0, 5: 4}),
        ('300310', '010303', {3: 3, 5: 0}),
        ('013042', '000200', {3: 5}),
    ],
)
def test_equal_networks_compute_equal_things_with_moved_weights(arch, canonical, edges):
    """``edges``: from which edge of the arch each convolution of the canonical one has its
    weights."""
    assert SPACE.encode(SPACE.canonical(SPACE.decode(arch))) == canonical
    net, moved = (randomised(SearchableNASBench201(text, WIDTH)) for text in (arch, canonical))
    for layer in net.modules():
        if isinstance(layer, _BatchNorm):  # so that convolutions of zeros give zeros
            layer.bias.data.zero_()
            layer.running_mean.zero_()
    state = net.state_dict()

    def source(key):
        kind, position, edge, *rest = key.split('.')
        return (
            '.'.join([kind, position, str(edges[int(edge)]), *rest])
            if kind == 'layers' and edge.isdecimal()
            else key
        )

    moved.load_state_dict({key: state[source(key)] for key in moved.state_dict()})
    with torch.no_grad():
        torch.testing.assert_close(
            moved(images(16, 16))[0], net(images(16, 16))[0], rtol=1e-4, atol=1e-5
        )


def test_a_cell_of_nothing_trains_and_gives_a_constant():
    net = SearchableNASBench201('000000', WIDTH)
    out = net(images(32, 32))[0]
    (out * torch.randn(out.shape)).sum().backward()
    assert torch.isfinite(out).all() and out.std() == 0
    assert net.tail[0].bias.grad is not None and net.stem[0].weight.grad is None


def test_edges_share_no_weight_and_leave_their_input_alone():
    net = randomised(SearchableNASBench201(widen_factor=WIDTH))
    weights = [module.weight for module in net.modules() if isinstance(module, nn.Conv2d)]
    assert len({weight.data_ptr() for weight in weights}) == len(weights) == 1 + 15 * 6 * 2 + 2 * 3
    x = torch.randn(2, 4, 8, 8)
    before = x.clone()
    for arch in np.eye(6, dtype=int) * 3:
        net.run(0, tuple(arch.tolist()), x)
    assert torch.equal(x, before)


def test_zero_init_is_about_the_residual_blocks():
    net = SearchableNASBench201(widen_factor=WIDTH)
    assert list(net.residual_norms()) == [
        net.layers[5]['block'].second[2],
        net.layers[11]['block'].second[2],
    ]
