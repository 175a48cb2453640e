import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models import ResNet
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import pinas_mm  # noqa: F401
from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import ElasticResNet, backbone_type
from pinas_mm.spaces.elastic_resnet import ELASTIC_RESNETS
from pinas_mm.spaces.subnet_file import SubnetFile

WIDTH, STAGES = 0.125, (0, 1, 2, 3)


def randomise(module, seed=0):
    """Norms included, so that no branch is switched off and no statistic is trivial."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_mean):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.2)
            layer.running_var.copy_(torch.rand(layer.running_var.shape, generator=generator) + 0.5)
    return module


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def theirs(depth, **kwargs):
    return ResNet(depth, stem_channels=8, base_channels=8, out_indices=STAGES, **kwargs)


@pytest.mark.parametrize(
    'depth, kwargs',
    [
        (18, {}),
        (34, dict(norm_cfg=dict(type='GN', num_groups=4))),
        (50, {}),
        (50, dict(style='caffe', deep_stem=True, avg_down=True)),
        (50, dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))),
        (101, {}),
    ],
)
def test_the_largest_arch_is_mmpretrains_network(depth, kwargs, images, tmp_path):
    """From a checkpoint of mmpretrain's classifier, in train and in eval mode, at every stage."""
    network = randomise(theirs(depth, **kwargs))
    state = {f'backbone.{key}': value for key, value in network.state_dict().items()}
    save_checkpoint(tmp_path / 'mm.pth', state | {'head.fc.weight': torch.zeros(10, 8)}, {})
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'mm.pth'), prefix='backbone.')
    ours = ElasticResNet(depth, widen_factor=WIDTH, out_indices=STAGES, init_cfg=init, **kwargs)
    ours.init_weights()
    assert [*ours.state_dict()] == [*network.state_dict()]
    ours.set_arch(ours.space.largest)
    for training in (True, False):
        ours.train(training), network.train(training)
        outs = ours(images)
        for a, b in zip(outs, network(images), strict=True):
            assert torch.equal(a, b)
    assert ours.out_channels == tuple(out.shape[1] for out in outs)
    state = network.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in ours.state_dict().items())


@pytest.mark.parametrize('depth', [18, 50])
def test_supernet_and_subnet_agree_at_every_stage_and_in_every_gradient(depth, images, tmp_path):
    supernet = randomise(ElasticResNet(depth, widen_factor=WIDTH, out_indices=STAGES))
    path, space = tmp_path / 'net.pth', supernet.space
    for arch in (space.smallest, space.sample(np.random.default_rng(0))):
        state = supernet.state_dict()
        save_checkpoint(path, {f'backbone.{key}': value for key, value in state.items()}, {})
        SubnetFile(space.name, arch, WIDTH).write(tmp_path / 'subnet.yaml')
        init = dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')
        # The file says which network it is a part of.
        subnet = MODELS.build(
            dict(
                type='pinas_mm.ElasticResNet',
                arch=str(tmp_path / 'subnet.yaml'),
                out_indices=STAGES,
                init_cfg=init,
            )
        )
        subnet.init_weights()
        assert (subnet.depth, subnet.arch) == (depth, arch)
        supernet.set_arch(arch)
        for training in (True, False):
            supernet.train(training), subnet.train(training)
            supernet.zero_grad(), subnet.zero_grad()
            outs = supernet(images), subnet(images)
            for a, b in zip(*outs, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
            for maps in outs:
                sum(out.square().mean() for out in maps).backward()
        whole = dict(supernet.named_parameters())
        for name, parameter in subnet.named_parameters():
            gradient = whole[name].grad
            part = tuple(slice(size) for size in parameter.shape)
            torch.testing.assert_close(gradient[part], parameter.grad, rtol=1e-3, atol=1e-5)
            rest = gradient.clone()
            rest[part] = 0
            assert not rest.any()


def test_the_widths_of_a_bottleneck_by_hand():
    """ResNet-50's first block: 64 channels inside, of which 32, 48 or 64 run."""
    for width, channels in enumerate((32, 48, 64)):
        subnet = ElasticResNet(50, arch=(0, width, *(0,) * 18))
        shapes = {key: tuple(value.shape) for key, value in subnet.layer1.named_parameters()}
        assert shapes['0.conv1.weight'] == (channels, 64, 1, 1)
        assert shapes['0.conv2.weight'] == (channels, channels, 3, 3)
        assert shapes['0.bn2.weight'] == (channels,)
        assert shapes['0.conv3.weight'] == (256, channels, 1, 1)
        assert shapes['0.downsample.0.weight'] == (256, 64, 1, 1)
        # One block of three, two of four, three of six, one of three.
        assert [len(getattr(subnet, f'layer{stage}')) for stage in (1, 2, 3, 4)] == [1, 2, 3, 1]


@pytest.mark.parametrize('depth', [18, 50])
def test_sorted_channels_compute_the_same(depth, images):
    """In the shortcut too, which no block may change the order of."""
    net = randomise(ElasticResNet(depth, widen_factor=WIDTH, out_indices=STAGES)).eval()
    net.set_arch(net.space.largest)
    before = net(images)
    weights = net.layer1[0].conv1.weight.clone()
    net.sort_channels()
    assert not torch.equal(net.layer1[0].conv1.weight, weights)
    for ours, expected in zip(net(images), before, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    block = net.layer2[0]
    for reader in [block.conv2, *([block.conv3] if depth == 50 else [])]:
        assert (reader.weight.abs().sum(dim=(0, 2, 3)).diff() <= 1e-6).all()


def test_it_is_built_where_asked_for():
    with torch.device('meta'):
        net = ElasticResNet(18, arch='0' * 12)
    assert all(tensor.is_meta for tensor in net.state_dict().values())


def test_a_space_is_known_by_the_name_that_a_subnet_file_holds():
    for depth, space in ELASTIC_RESNETS.items():
        assert space.name == f'elastic_resnet{depth}'
        assert backbone_type(space.name) == 'pinas_mm.ElasticResNet'


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(), r'ElasticResNet: expected depth, one of \[18, 34, 50, 101\]'),
        (dict(arch='0' * 20), 'ElasticResNet: expected depth'),
        (dict(depth=152), r'depth.*152.*18'),
        (dict(depth=50, strides=(1, 2)), r'strides=\(1, 2\) of ElasticResNet: expected 4'),
        (dict(depth=50, dilations=(1,)), r'dilations=\(1,\) of ElasticResNet: expected 4'),
        (dict(depth=18, arch='0' * 20), 'has 20 entries, .* 12 slots'),
        (dict(depth=50, out_indices=(4,)), r'out_indices=\(4,\)'),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        ElasticResNet(**arguments)


def test_a_subnet_file_of_another_depth_is_refused(tmp_path):
    SubnetFile('elastic_resnet18', ELASTIC_RESNETS[18].smallest).write(tmp_path / 'subnet.yaml')
    with pytest.raises(InputError, match="a subnet of space 'elastic_resnet18', expected one of"):
        ElasticResNet(50, arch=tmp_path / 'subnet.yaml')
    SubnetFile('resnest50', (0,) * 16).write(tmp_path / 'subnet.yaml')
    with pytest.raises(InputError, match='ElasticResNet: expected depth'):
        ElasticResNet(arch=tmp_path / 'subnet.yaml')


def test_a_deeper_network_is_no_parent(tmp_path):
    """Its first blocks would fit."""
    state = {f'backbone.{key}': value for key, value in theirs(101).state_dict().items()}
    save_checkpoint(tmp_path / 'net.pth', state, {})
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'net.pth'), prefix='backbone.')
    for arch in (None, ELASTIC_RESNETS[50].smallest):
        net = ElasticResNet(50, arch=arch, widen_factor=WIDTH, init_cfg=init)
        with pytest.raises(InputError, match="another network than 'elastic_resnet50'.*layer3"):
            net.init_weights()


def test_a_checkpoint_from_caffe_has_no_counts_of_batches(tmp_path):
    network = randomise(theirs(50, style='caffe'))
    state = {
        f'backbone.{key}': value
        for key, value in network.state_dict().items()
        if not key.endswith('num_batches_tracked')
    }
    save_checkpoint(tmp_path / 'net.pth', state, {})
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'net.pth'), prefix='backbone.')
    for arch in (None, ELASTIC_RESNETS[50].smallest):
        net = ElasticResNet(50, arch=arch, widen_factor=WIDTH, style='caffe', init_cfg=init)
        net.init_weights()
        narrow = 4 if arch else 8
        assert torch.equal(
            net.layer1[0].bn1.running_mean, network.layer1[0].bn1.running_mean[:narrow]
        )
        assert net.layer1[0].bn1.num_batches_tracked == 0


def test_the_space_of_a_config(tmp_path):
    SubnetFile('elastic_resnet34', ELASTIC_RESNETS[34].smallest).write(tmp_path / 'subnet.yaml')
    for settings, depth in (
        (dict(depth=50), 50),
        (dict(arch=str(tmp_path / 'subnet.yaml')), 34),
        (dict(depth=101, arch='0' * 37), 101),
    ):
        assert ElasticResNet.space_of(settings) is ELASTIC_RESNETS[depth]
    with pytest.raises(InputError, match='ElasticResNet: expected depth, one of'):
        ElasticResNet.space_of(dict(type='ElasticResNet'))
    with pytest.raises(InputError, match='depth=152 of ElasticResNet: expected one of'):
        ElasticResNet.space_of(dict(depth=152))


def test_no_residual_branch_starts_otherwise_than_in_mmpretrain():
    ours, network = ElasticResNet(50, widen_factor=WIDTH), theirs(50)
    ours.init_weights(), network.init_weights()
    zero = [
        [
            name
            for name, layer in net.named_modules()
            if isinstance(layer, nn.BatchNorm2d) and not layer.weight.any()
        ]
        for net in (ours, network)
    ]
    assert zero[0] == zero[1] and len(zero[0]) == 16


DILATED = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), style='caffe')


def test_a_subnet_file_holds_what_the_weights_do_not_tell(images, tmp_path):
    """Dilations have no tensors: without them the same weights are another network."""
    supernet = randomise(ElasticResNet(50, widen_factor=WIDTH, **DILATED)).eval()
    arch = supernet.space.sample(np.random.default_rng(0))
    assert supernet.file_arguments == dict(
        strides=[1, 2, 1, 1], dilations=[1, 1, 2, 4], style='caffe'
    )
    path = tmp_path / 'subnet.yaml'
    SubnetFile(supernet.space.name, arch, WIDTH, arguments=supernet.file_arguments).write(path)
    subnet = MODELS.build(dict(type='pinas_mm.ElasticResNet', arch=str(path)))
    subnet.load_state_dict(supernet.subnet_state(arch))
    supernet.set_arch(arch)
    torch.testing.assert_close(subnet.eval()(images), supernet(images))
    assert subnet.file_arguments == supernet.file_arguments
    # A network may also be put to another use: what is given counts.
    given = ElasticResNet(arch=path, strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1), style=None)
    assert given.file_arguments == supernet.file_arguments | dict(
        strides=[1, 2, 2, 2], dilations=[1, 1, 1, 1]
    )
    assert given(images)[-1].shape[-1] == subnet(images)[-1].shape[-1] / 4
    # A file from before has none of them.
    path.write_text(f'space: {supernet.space.name}\narch: {list(arch)}\nwiden_factor: {WIDTH}\n')
    assert ElasticResNet(arch=path).strides == (1, 2, 2, 2)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(strides=[1, 2]), r'strides=\(1, 2\) of ElasticResNet: expected 4'),
        (dict(strides='1221'), r"arguments\.strides='1221': expected"),
        (dict(strides=[1, 'a', 1, 1]), r"arguments\.strides\.1='a': expected a whole number"),
        (dict(style='torch'), r"arguments\.style='torch': expected 'pytorch' or 'caffe'"),
        (dict(deep_stem=1), r'arguments\.deep_stem=1: expected True or False'),
        (
            dict(init_cfg=dict(type='Pretrained')),
            r'arguments\.init_cfg: unknown key, expected some',
        ),
        (dict(norm_cfg=dict(type='os.system')), r"unknown key, expected some of \['strides', "),
    ],
)
def test_wrong_arguments_of_a_subnet_file_are_named(tmp_path, arguments, message):
    path = tmp_path / 'subnet.yaml'
    SubnetFile('elastic_resnet50', (0,) * 20, arguments=arguments).write(path)
    with pytest.raises(InputError, match=message):
        ElasticResNet(arch=path)
