import pytest
import torch
from mmpretrain.models import MobileNetV2
from torch.nn.modules.batchnorm import _BatchNorm

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import ElasticMobileNetV2, backbone_type
from pinas_mm.spaces.elastic_mobilenet_v2 import ELASTIC_MOBILENET_V2
from pinas_mm.spaces.subnet_file import SubnetFile

OUTPUTS = tuple(range(8))


@pytest.mark.parametrize(
    'widen_factor, kwargs',
    [
        (0.35, {}),
        (1.0, dict(act_cfg=dict(type='LeakyReLU', negative_slope=0.1))),
        (1.4, dict(norm_cfg=dict(type='BN', eps=1e-3))),
    ],
)
def test_the_largest_arch_is_mmpretrains_network(widen_factor, kwargs, tmp_path):
    """From a checkpoint of mmpretrain's classifier, in train and in eval mode, at every output."""
    network = MobileNetV2(widen_factor, out_indices=OUTPUTS, **kwargs)
    generator = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.2)
    state = {f'backbone.{key}': value for key, value in network.state_dict().items()}
    save_checkpoint(tmp_path / 'mm.pth', state | {'head.fc.weight': torch.zeros(10, 8)}, {})
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'mm.pth'), prefix='backbone.')
    ours = ElasticMobileNetV2(
        widen_factor=widen_factor, out_indices=OUTPUTS, init_cfg=init, **kwargs
    )
    ours.init_weights()
    assert [*ours.state_dict()] == [*network.state_dict()]
    ours.set_arch(ours.space.largest)
    images = torch.randn(2, 3, 50, 36, generator=generator)
    for training in (True, False):
        ours.train(training), network.train(training)
        outs = ours(images)
        for a, b in zip(outs, network(images), strict=True):
            assert torch.equal(a, b)
    assert ours.out_channels == tuple(out.shape[1] for out in outs)
    state = network.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in ours.state_dict().items())


def test_the_expansions_by_hand():
    """The second stage's first block has 16 channels, and 48, 64 or 96 of them inside."""
    for choice, channels in enumerate((48, 64, 96)):
        subnet = ElasticMobileNetV2(arch=(0, choice, *(0,) * 19))
        shapes = {key: tuple(value.shape) for key, value in subnet.layer2.named_parameters()}
        assert shapes['0.conv.0.conv.weight'] == (channels, 16, 1, 1)
        assert shapes['0.conv.0.bn.weight'] == shapes['0.conv.1.bn.bias'] == (channels,)
        assert shapes['0.conv.1.conv.weight'] == (channels, 1, 3, 3)
        assert shapes['0.conv.2.conv.weight'] == (24, channels, 1, 1)
        # Half of the blocks of every stage, rounded down, but one at least.
        assert [len(getattr(subnet, f'layer{n}')) for n in range(1, 8)] == [1, 1, 1, 2, 1, 1, 1]
        assert subnet.layer1[0].conv[0].conv.weight.shape == (32, 1, 3, 3)


@pytest.mark.parametrize('widen_factor', [0.1, 0.35, 0.75, 1.0, 1.4])
def test_inner_channels_are_multiples_of_eight(widen_factor):
    subnet = ElasticMobileNetV2(arch=('1' * 21), widen_factor=widen_factor)
    for stage in range(1, 8):
        for block in getattr(subnet, f'layer{stage}'):
            assert block.conv[-1].conv.in_channels % 8 == 0


def test_images_may_have_any_number_of_channels():
    net = ElasticMobileNetV2(in_channels=1, widen_factor=0.25, norm_cfg=dict(type='SyncBN'))
    assert net.conv1.conv.weight.shape == (8, 1, 3, 3)
    assert type(net.conv1.bn) is type(net.conv2.bn)
    # As mmpretrain's stem is.
    theirs = MobileNetV2(0.25, norm_cfg=dict(type='SyncBN')).conv1
    assert str(net.conv1).replace('Conv2d(1,', 'Conv2d(3,') == str(theirs)


def test_no_branch_starts_otherwise_than_in_mmpretrain():
    net = ElasticMobileNetV2(widen_factor=0.25)
    net.init_weights()
    norms = [layer for layer in net.modules() if isinstance(layer, _BatchNorm)]
    assert len(norms) == 52 and all((layer.weight == 1).all() for layer in norms)


def test_a_subnet_file_holds_what_the_network_is_built_with(tmp_path):
    assert backbone_type('elastic_mobilenet_v2') == 'pinas_mm.ElasticMobileNetV2'
    file = SubnetFile('elastic_mobilenet_v2', ELASTIC_MOBILENET_V2.smallest, 0.35, in_channels=1)
    file.write(tmp_path / 'subnet.yaml')
    subnet = ElasticMobileNetV2(str(tmp_path / 'subnet.yaml'))
    assert subnet.out_channels == (1280,) and subnet.conv1.conv.weight.shape == (16, 1, 3, 3)
    with pytest.raises(InputError, match='found at widen_factor=0.35'):
        ElasticMobileNetV2(str(tmp_path / 'subnet.yaml'), widen_factor=1.0)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(widen_factor=0), 'widen_factor'),
        (dict(widen_factor='wide'), 'widen_factor'),
        (dict(arch='0' * 20), 'has 20 entries, .* 21 slots'),
        (dict(out_indices=(8,)), r'out_indices=\(8,\)'),
        (dict(frozen_stages=9), 'frozen_stages=9 .* expected -1 to 8'),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        ElasticMobileNetV2(**arguments)
