import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from pinas_mm.costs import measure_costs
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableShuffleNetV2

SPACE = SearchableShuffleNetV2.space
WIDTH = 0.125
DSNAS = '0,0,3,0,3,2,0,0,3,3,2,3,3,3,2,0,0,3,3,0'


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


@pytest.fixture(scope='module')
def costs():
    with torch.device('meta'):
        return measure_costs(SearchableShuffleNetV2(), 224)


# In millions.
@pytest.mark.parametrize(
    'position, macs',
    [
        (0, [13.397, 15.805, 19.418, 13.146]),
        (1, [7.326, 8.931, 11.340, 12.343]),
        (3, [7.326, 8.931, 11.340, 12.343]),
        (4, [26.305, 28.111, 30.821, 20.296]),
        (5, [10.600, 11.603, 13.108, 16.746]),
        (7, [10.600, 11.603, 13.108, 16.746]),
    ],
)
def test_published_macs_of_the_blocks(costs, position, macs):
    assert costs.tables['macs'][position] / 1e6 == pytest.approx(macs, abs=5e-4)


def block_macs(kernel_size, xception, in_channels, out_channels, stride, size):
    """One block by hand, from a map of ``size`` by ``size``: MACs of each convolution, output
    pixels by what each of them sums up."""
    mid, before, after = out_channels // 2, size**2, (size // stride) ** 2
    read = beside = in_channels if stride == 2 else in_channels // 2
    out = out_channels - beside
    if xception:
        macs = after * (9 * read + read * mid + 9 * mid + mid * mid + 9 * mid + mid * out)
    else:
        macs = before * read * mid + after * (kernel_size**2 * mid + mid * out)
    return macs + (after * (kernel_size**2 * beside + beside * beside) if stride == 2 else 0)


def test_macs_of_every_block_by_hand(costs):
    in_channels, size, position = 16, 112, 0
    for depth, out_channels in zip((4, 4, 8, 4), (64, 160, 320, 640)):
        for stride in (2, *(1,) * (depth - 1)):
            expected = [
                block_macs(k, xception, in_channels, out_channels, stride, size)
                for k, xception in ((3, False), (5, False), (7, False), (3, True))
            ]
            assert costs.tables['macs'][position].tolist() == expected
            in_channels, size, position = out_channels, size // stride, position + 1
    assert size == 7 and position == 20


def test_published_macs_of_whole_networks(costs):
    """The found arch of DSNAS, whose authors count 1,024 products and 1,023 sums per class; ours
    counts the products, and no bias."""
    stem, tail = 112**2 * 16 * 27, 7**2 * 640 * 1024
    assert costs.fixed['macs'] == stem + tail
    macs = costs.arch_costs(SPACE.decode(DSNAS))['macs']
    assert (macs + 2047 * 1000) / 1e6 == pytest.approx(324.35, abs=0.01)
    assert (macs + 1024 * 1000) / 1e6 == pytest.approx(323.33, abs=0.01)
    # The arch of Guo et al., published with 323 M.
    assert (
        round(
            (
                costs.arch_costs(SPACE.decode('2,1,0,1,2,0,2,0,2,0,2,3,0,0,0,0,3,2,3,3'))['macs']
                + 1024 * 1000
            )
            / 1e6
        )
        == 323
    )


def by_hand(state, prefix, choice, stride, x):
    """A block in functional form, from the parameters by their order."""

    def norm(x, name):
        return F.batch_norm(
            x,
            *(state[f'{name}.{key}'] for key in ('running_mean', 'running_var', 'weight', 'bias')),
        )

    def dense(x, branch, index):
        name = f'{prefix}.{branch}'
        return norm(F.conv2d(x, state[f'{name}.{index}.weight']), f'{name}.{index + 1}').relu()

    def depthwise(x, branch, index, size, stride=1):
        name = f'{prefix}.{branch}'
        weight = state[f'{name}.{index}.weight']
        assert weight.shape[1:] == (1, size, size)
        return norm(
            F.conv2d(x, weight, stride=stride, padding=(size - 1) // 2, groups=x.shape[1]),
            f'{name}.{index + 1}',
        )

    size = (3, 5, 7, 3)[choice]
    if stride == 2:
        beside, x = dense(depthwise(x, 'projection', 0, size, 2), 'projection', 2), x
    else:
        # ShuffleNetV2's shuffle, which deals the channels out to two groups, before the block
        # instead of after the one before.
        n, c, h, w = x.shape
        beside, x = (
            x.reshape(n, c // 2, 2, h, w).transpose(1, 2).reshape(n, c, h, w).chunk(2, dim=1)
        )
    if choice == 3:
        x = dense(depthwise(x, 'main', 0, 3, stride), 'main', 2)
        x = dense(depthwise(x, 'main', 5, 3), 'main', 7)
        x = dense(depthwise(x, 'main', 10, 3), 'main', 12)
    else:
        x = dense(depthwise(dense(x, 'main', 0), 'main', 3, size, stride), 'main', 5)
    return torch.cat([beside, x], dim=1)


@pytest.mark.parametrize('choice', range(4))
@pytest.mark.parametrize('position, stride', [(0, 2), (1, 1), (4, 2), (19, 1)])
@pytest.mark.parametrize('size', [(8, 8), (7, 10)])
def test_blocks_are_the_papers(choice, position, stride, size):
    net = randomised(SearchableShuffleNetV2((choice,) * 20, WIDTH, mid_scales=1.4))
    x = torch.randn(2, net.channels(SPACE.positions[position].in_channels), *size)
    before = x.clone()
    with torch.no_grad():
        ours = net.run(position, net.arch, x)
        torch.testing.assert_close(
            ours, by_hand(net.state_dict(), f'layers.{position}.{choice}', choice, stride, x)
        )
    assert torch.equal(x, before), 'other paths read the same input'


def test_every_second_channel_passes_by():
    net = randomised(SearchableShuffleNetV2('1' * 20, WIDTH))
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(net.run(1, net.arch, x)[:, :4], x[:, [0, 2, 4, 6]])


@pytest.mark.parametrize(
    'stem_stride, size, expected',
    [
        (2, (64, 64), [(16, 16), (8, 8), (4, 4), (2, 2), (2, 2)]),
        (2, (65, 97), [(17, 25), (9, 13), (5, 7), (3, 4), (3, 4)]),
        (1, (32, 32), [(16, 16), (8, 8), (4, 4), (2, 2), (2, 2)]),
    ],
)
def test_stage_shapes(stem_stride, size, expected):
    """Odd sizes too."""
    net = SearchableShuffleNetV2(
        '01230123012301230123', WIDTH, out_indices=range(5), stem_stride=stem_stride
    )
    assert [tuple(m.shape) for m in net(images(*size))] == [
        (2, c, *shape) for c, shape in zip((8, 20, 40, 80, 128), expected)
    ]


def test_the_networks_end():
    net = randomised(SearchableShuffleNetV2('0' * 20, WIDTH, out_indices=(3, 4)))
    last, tail = net(images(32, 32))
    state = net.state_dict()
    norm = [state[f'tail.1.{key}'] for key in ('running_mean', 'running_var', 'weight', 'bias')]
    torch.testing.assert_close(
        tail, F.batch_norm(F.conv2d(last, state['tail.0.weight']), *norm).relu()
    )


@pytest.mark.parametrize(
    'widen_factor, expected',
    [
        (1.0, (16, 64, 160, 320, 640, 1024)),
        (0.25, (4, 16, 40, 80, 160, 256)),
        (0.3, (4, 20, 48, 96, 192, 308)),
        (0.04, (2, 2, 6, 12, 26, 40)),
    ],
)
def test_widths_are_even(widen_factor, expected):
    def build():
        with torch.device('meta'):
            return SearchableShuffleNetV2('0' * 20, widen_factor, out_indices=range(5))

    if widen_factor == 0.04:
        message = (
            r'widen_factor=0.04 of SearchableShuffleNetV2: position 0 has 2 input and 2 '
            r'output channels, .* choose a larger one'
        )
        with pytest.raises(InputError, match=message):
            build()
    else:
        net = build()
        assert (net.stem[0].out_channels, *net.out_channels) == expected


def mid_channels(net):
    return [net.layers[i]['0'].main[0].out_channels for i in range(20)]


@pytest.mark.slow
def test_middle_channels():
    half = [32] * 4 + [80] * 4 + [160] * 8 + [320] * 4
    scales = [0.2 * (i % 10 + 1) for i in range(20)]
    with torch.device('meta'):
        assert mid_channels(SearchableShuffleNetV2()) == half
        assert mid_channels(SearchableShuffleNetV2(mid_scales=2)) == [2 * count for count in half]
        # 0.2 of 32 is 6.4, 0.4 of it 12.8, and so on.
        found = mid_channels(SearchableShuffleNetV2(mid_scales=scales))
        assert found[:5] == [6, 13, 19, 26, 80] and all(
            abs(c - s * h) <= 0.5 for c, s, h in zip(found, scales, half)
        )
        assert mid_channels(SearchableShuffleNetV2(widen_factor=WIDTH, mid_scales=0.01)) == [1] * 20


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(mid_scales=0), 'mid_scales=0: expected a finite number above 0'),
        (dict(mid_scales=[1.0] * 19), r'mid_scales=\[1.0, .* or 20 of them'),
        (dict(mid_scales=[1.0] * 19 + [-0.5]), r'mid_scales.19=-0.5: expected a finite'),
        (dict(mid_scales=[1.0] * 19 + [float('nan')]), r'mid_scales.19=nan: expected a finite'),
        (dict(mid_scales='1.0'), "mid_scales='1.0'"),
        (dict(stem_stride=4), 'stem_stride=4 of SearchableShuffleNetV2: expected 1 or 2'),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        SearchableShuffleNetV2(widen_factor=WIDTH, **arguments)


def test_a_branch_that_starts_at_zero_would_never_learn():
    """Why ``zero_init_residual`` touches nothing."""
    net = SearchableShuffleNetV2('0' * 20, WIDTH)
    net.init_weights()
    assert all(
        (module.weight == 1).all() for module in net.modules() if isinstance(module, _BatchNorm)
    )
    block = net.layers[1]['0']
    nn.init.zeros_(block.main[6].weight)
    out = net.run(1, net.arch, torch.randn(2, 8, 4, 4))
    (out * torch.randn(out.shape)).sum().backward()
    assert not any(parameter.grad.any() for parameter in block.parameters())


def test_a_detectors_backbone_has_no_tail_and_fits_a_pyramid():
    mmdet = pytest.importorskip('mmdet.models')
    net = SearchableShuffleNetV2(DSNAS, WIDTH, out_indices=(0, 1, 2, 3))
    assert net.tail is None and net.out_channels == (8, 20, 40, 80)
    maps = mmdet.FPN(list(net.out_channels), 4, 4)(net(images(64, 96)))
    assert [tuple(m.shape[2:]) for m in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    sum(m.sum() for m in maps).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_memory_stays_channels_last():
    net = randomised(SearchableShuffleNetV2('01230123012301230123', WIDTH, out_indices=range(5)))
    expected = net(images(32, 32))
    maps = net.to(memory_format=torch.channels_last)(
        images(32, 32).contiguous(memory_format=torch.channels_last)
    )
    assert all(m.is_contiguous(memory_format=torch.channels_last) for m in maps)
    for ours, theirs in zip(maps, expected):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_names_of_parameters():
    keys = set(SearchableShuffleNetV2(widen_factor=WIDTH).state_dict())
    assert {
        'stem.0.weight',
        'layers.0.3.projection.0.weight',
        'layers.19.2.main.6.running_var',
        'tail.1.bias',
    } <= keys
    projections = {int(key.split('.')[1]) for key in keys if '.projection.' in key}
    assert (
        projections
        == {0, 4, 8, 16}
        == {i for i in np.flatnonzero([p.stride == 2 for p in SPACE.positions])}
    )
