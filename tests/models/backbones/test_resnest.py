import pytest
import torch
from torch import nn

from pinas_mm.converters.retrained_checkpoint import convert_retrained
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableResNeSt


@pytest.mark.parametrize(
    'arch, params',
    [
        (None, 91_522_388),
        ('3013231203213032', 24_997_278),  # published as Pi-NAS-cls
        ('3333113330011021', 24_990_016),  # published as Pi-NAS-trans
    ],
)
def test_published_parameter_counts(arch, params):
    with torch.device('meta'):
        net = SearchableResNeSt(arch=arch)
    assert sum(p.numel() for p in net.parameters()) == params


def test_shortcuts_per_candidate_are_an_option():
    shared, own = (
        SearchableResNeSt(widen_factor=0.25),
        SearchableResNeSt(widen_factor=0.25, share_shortcut=False),
    )
    shortcuts = sum(
        p.numel()
        for layer in shared.layers
        if 'shortcut' in layer
        for p in layer['shortcut'].parameters()
    )
    assert (
        sum(p.numel() for p in own.parameters())
        == sum(p.numel() for p in shared.parameters()) + 3 * shortcuts
    )
    own.set_arch((1,) * 16)
    assert own(torch.zeros(2, 3, 64, 64))[0].shape == (2, 512, 2, 2)


def test_impossible_widths_are_errors():
    with pytest.raises(InputError, match='3x3 convolution'):
        SearchableResNeSt(widen_factor=1 / 16)


@pytest.fixture(scope='module')
def mmseg_resnest():
    """Builds mmseg's own ResNeSt-50, which every position at candidate 1 (radix 2) is, with ours
    that has its weights."""
    resnest = pytest.importorskip('mmseg.models.backbones').ResNeSt
    torch.manual_seed(0)
    theirs = resnest(depth=50, radix=2, stem_channels=64, avg_down_stride=True)
    theirs.init_weights()
    for norm in theirs.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
    state = theirs.state_dict()
    names = {key: key.replace('stem.7', 'bn1').replace('stem.', 'conv1.') for key in state}
    ours, arch, *_ = convert_retrained({names[key]: value for key, value in state.items()})
    assert arch == (1,) * 16

    def build(**kwargs):
        pair = (
            resnest(depth=50, radix=2, stem_channels=64, avg_down_stride=True, **kwargs),
            SearchableResNeSt(arch, **kwargs),
        )
        pair[0].load_state_dict(state)
        pair[1].load_state_dict(
            {key.removeprefix('backbone.'): value for key, value in ours.items()}
        )
        return pair

    return build


@pytest.mark.slow
@pytest.mark.parametrize(
    'arguments, sizes',
    [
        (dict(), (24, 12, 6, 3)),
        (dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)), (24, 12, 6, 6)),
        (dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)), (24, 12, 12, 12)),
        (
            dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True),
            (24, 12, 12, 12),
        ),
    ],
)
def test_it_computes_what_mmsegs_resnest_does_dilated_or_not(mmseg_resnest, arguments, sizes):
    theirs, ours = mmseg_resnest(out_indices=(0, 1, 2, 3), **arguments)
    theirs.eval()  # returns None
    ours.eval()
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for expected, found, size in zip(theirs(images), ours(images), sizes, strict=True):
            assert found.shape[2:] == (size, size)
            torch.testing.assert_close(
                found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item()
            )


@pytest.mark.slow
@pytest.mark.parametrize('norm_eval', [False, True])
@pytest.mark.parametrize('package', ['mmdet', 'mmseg'])
def test_the_same_is_frozen_as_in_their_resnest(package, norm_eval):
    """Parameters by number and size, norm layers by whether they train."""
    resnest = pytest.importorskip(f'{package}.models.backbones').ResNeSt
    for frozen_stages in range(-1, 5):
        arguments = dict(
            out_indices=(0, 1, 2, 3),
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            norm_cfg=dict(type='SyncBN'),
        )
        with torch.device('meta'):
            theirs = resnest(depth=50, radix=2, stem_channels=64, avg_down_stride=True, **arguments)
            ours = SearchableResNeSt('1' * 16, **arguments)
        found = []
        for net in (theirs, ours):
            net.train()
            norms = [layer for layer in net.modules() if isinstance(layer, nn.SyncBatchNorm)]
            found.append(
                (
                    sorted(
                        parameter.numel()
                        for parameter in net.parameters()
                        if parameter.requires_grad
                    ),
                    sorted(layer.num_features for layer in norms if layer.training),
                    len(norms),
                )
            )
        assert found[0] == found[1] and found[1][2] == 3 + 16 * 4 + 4


def test_the_published_pool_of_dilated_stages_is_in_their_first_block():
    net = SearchableResNeSt(
        '1' * 16,
        0.25,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        avd_dilated=True,
        contract_dilation=True,
    )
    blocks = [layer['1'] for layer in net.layers]
    pools = [
        (position, block.avd.kernel_size, block.avd.stride)
        for position, block in enumerate(blocks)
        if isinstance(block.avd, nn.AvgPool2d)
    ]
    assert pools == [(3, 3, 2), (7, 3, 1), (13, 3, 1)]
    dilations = [block.conv2.conv.dilation[0] for block in blocks]
    assert dilations == [1] * 7 + [1, 2, 2, 2, 2, 2] + [2, 4, 4]
    without = SearchableResNeSt('1' * 16, 0.25, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    assert [layer['1'].conv2.conv.dilation[0] for layer in without.layers] == [1] * 7 + [2] * 6 + [
        4
    ] * 3
    assert sum(isinstance(layer['1'].avd, nn.AvgPool2d) for layer in without.layers) == 1


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            dict(strides=(1, 2, 2)),
            r'strides=\(1, 2, 2\) of SearchableResNeSt: expected 4 of 1 or 2',
        ),
        (dict(strides=(1, 2, 2, 3)), 'expected 4 of 1 or 2'),
        (
            dict(dilations=(1, 1, 1, 0)),
            r'dilations=\(1, 1, 1, 0\) of SearchableResNeSt: expected 4, at least 1',
        ),
    ],
)
def test_wrong_geometry_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        SearchableResNeSt(**arguments)


def test_a_training_batch_of_one_is_explained():
    net = SearchableResNeSt('1' * 16, 0.25)
    with pytest.raises(
        InputError,
        match='a training batch of 1 image: split attention pools each channel to one value',
    ):
        net(torch.zeros(1, 3, 64, 64))
    net.norm_eval = True
    assert net.train()(torch.zeros(1, 3, 64, 64))[0].shape == (1, 512, 2, 2)
    net.norm_eval = False
    assert net.eval()(torch.zeros(1, 3, 64, 64))[0].shape == (1, 512, 2, 2)
