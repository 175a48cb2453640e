import copy

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from once_for_all import SETTINGS, arch_of, images, measured, published
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

import pinas_mm  # noqa: F401
from pinas_mm.checkpoint import load_state, save_checkpoint
from pinas_mm.converters.once_for_all_checkpoint import convert_once_for_all
from pinas_mm.costs.measure import measure_costs
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import ElasticMobileNetV3, backbone_type
from pinas_mm.spaces.elastic_mobilenet_v3 import ELASTIC_MOBILENET_V3
from pinas_mm.spaces.subnet_file import SubnetFile

WIDTH, STAGES = 0.125, (0, 1, 2, 3, 4, 5)


def classifier(**backbone):
    init_default_scope('mmpretrain')
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='pinas_mm.ElasticMobileNetV3', out_indices=STAGES, **backbone),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=1280),
        )
    )


@pytest.fixture(scope='module')
def converted():
    return convert_once_for_all(published())[0]


def check_outputs(model, number):
    """Against the published code's, to 1e-4 of the largest value."""
    with torch.no_grad():
        maps = model.eval().backbone(images())
        logits = model.head(model.neck(maps))
    outputs = dict(out=logits, stage4=maps[4], stage2=maps[2][:, :8])
    for name, ours in outputs.items():
        theirs = torch.from_numpy(measured()[f'{name}_{number}'])
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


@pytest.mark.parametrize('number', range(4))
def test_subnets_of_the_published_supernet(converted, number):
    """Outputs of the supernet and of the built subnet, its parameters and MACs."""
    setting, arch = SETTINGS[number], arch_of(SETTINGS[number])
    supernet = classifier()
    load_state(supernet, converted, 'published.pth')
    supernet.backbone.set_arch(arch)
    check_outputs(supernet, number)
    subnet = classifier(arch=arch)
    load_state(subnet, converted, 'published.pth')
    check_outputs(subnet, number)
    assert sum(parameter.numel() for parameter in subnet.parameters()) == setting['params']
    with FlopCounterMode(display=False) as counter:
        subnet(torch.zeros(1, 3, 224, 224))
    assert counter.get_total_flops() // 2 == setting['macs224']


def test_published_costs():
    """In the table that a search reads."""
    table = measure_costs(classifier(), 224)
    for setting in SETTINGS:
        costs = table.arch_costs(arch_of(setting))
        assert (costs['macs'], costs['params']) == (setting['macs224'], setting['params'])
    assert table.range('macs') == (SETTINGS[1]['macs224'], SETTINGS[0]['macs224'])


# At an eighth of the width.


def randomise(module, seed=0):
    """Norms and matrices too."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_mean):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.2)
            layer.running_var.copy_(torch.rand(layer.running_var.shape, generator=generator) + 0.5)
    for name, parameter in module.named_parameters():
        if 'kernel_matrices' in name:
            parameter.data += torch.rand(parameter.shape, generator=generator) * 0.4 - 0.2
    return module


def build(**kwargs):
    torch.manual_seed(0)
    return ElasticMobileNetV3(widen_factor=WIDTH, out_indices=STAGES, **kwargs)


@pytest.fixture
def supernet():
    return randomise(build())


SPACE = ELASTIC_MOBILENET_V3
SAMPLE = SPACE.sample(np.random.default_rng(0))


@pytest.mark.parametrize('arch', [SPACE.smallest, SAMPLE], ids=['smallest', 'sample'])
def test_supernet_and_subnet_agree_at_every_stage(supernet, arch, tmp_path):
    state = {f'backbone.{key}': value for key, value in supernet.state_dict().items()}
    save_checkpoint(tmp_path / 'net.pth', state, {})
    SubnetFile(SPACE.name, arch, WIDTH).write(tmp_path / 'subnet.yaml')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'net.pth'), prefix='backbone.')
    subnet = ElasticMobileNetV3(tmp_path / 'subnet.yaml', out_indices=STAGES, init_cfg=init)
    subnet.init_weights()
    assert not any('kernel_matrices' in name for name in subnet.state_dict())
    supernet.set_arch(arch)
    for training in (True, False):
        outs = [net.train(training)(images()) for net in (supernet, subnet)]
        for ours, theirs in zip(*outs, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert supernet.out_channels == tuple(out.shape[1] for out in outs[0])
    # What is handed over is what it has, with the statistics that both have gathered.
    taken, own = supernet.subnet_state(arch), subnet.state_dict()
    assert [*taken] == [*own]
    for key, value in own.items():
        torch.testing.assert_close(taken[key], value, rtol=1e-6, atol=1e-6)
    # Its own checkpoint has the final kernels.
    again = build(arch=arch)
    again.load_state_dict(own)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in own.items())


def test_gradients_reach_the_matrices_of_the_kernels_that_run(supernet):
    arch = [2] * 45
    arch[2], arch[4], arch[6] = 0, 1, 2  # the kernels of the first blocks
    supernet.set_arch(arch)
    sum(out.square().mean() for out in supernet(images())).backward()
    reached = [
        [
            key
            for key, matrix in block.depthwise_conv.conv.kernel_matrices.items()
            if matrix.grad is not None
        ]
        for block in supernet.stages[0]
    ]
    assert [sorted(keys) for keys in reached] == [['5to3', '7to5'], ['7to5'], [], []]
    matrices = supernet.stages[0][0].depthwise_conv.conv.kernel_matrices
    assert all(matrix.grad.abs().max() > 0 for matrix in matrices.values())


@pytest.mark.parametrize(
    'block, expansion, middle, squeezed',
    [
        ('1.0', 0, 72, 24),  # a quarter is 18, of which the nearest multiple, 16, is too small
        ('1.0', 1, 96, 24),
        ('1.0', 2, 144, 40),
        ('3.1', 0, 336, 88),
        ('4.3', 1, 640, 160),
        ('2.2', 1, 320, None),
    ],
)
def test_inner_and_squeezed_channels_by_hand(block, expansion, middle, squeezed):
    stage, place = map(int, block.split('.'))
    arch = [2] * 45
    arch[9 * stage + 1 + 2 * place] = expansion
    with torch.device('meta'):
        module = ElasticMobileNetV3(arch=arch).stages[stage][place]
    assert module.expand_conv.conv.out_channels == middle == module.linear_conv.conv.in_channels
    assert module.depthwise_conv.conv.groups == module.depthwise_conv.bn.num_features == middle
    assert module.with_se == (squeezed is not None)
    if squeezed:
        assert module.se.conv1.conv.weight.shape == (squeezed, middle, 1, 1)
        assert module.se.conv2.conv.weight.shape == (middle, squeezed, 1, 1)
        assert module.se.conv2.conv.bias.shape == (middle,)


@pytest.mark.parametrize('kernel', [0, 1, 2])
def test_sorted_channels_compute_the_same_with_every_kernel(supernet, kernel):
    arch = [2] * 45
    for slot in range(45):
        if slot % 9 and slot % 9 % 2 == 0:
            arch[slot] = kernel
    supernet.eval().set_arch(arch)
    before = supernet(images())
    weights = supernet.stages[1][0].expand_conv.conv.weight.clone()
    supernet.sort_channels()
    assert not torch.equal(supernet.stages[1][0].expand_conv.conv.weight, weights)
    for ours, expected in zip(supernet(images()), before, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_channels_are_sorted_by_what_reads_them_as_published(supernet):
    """By hand: the inner channels by the last convolution (not by squeeze-and-excitation, which
    reads them too), the squeezed ones by the layer that expands them."""
    block = supernet.stages[3][1]
    squeeze = block.se.conv2.conv.weight.clone()
    order = block.linear_conv.conv.weight.abs().sum(dim=(0, 2, 3)).argsort(descending=True)
    squeezed = squeeze.abs().sum(dim=(0, 2, 3)).argsort(descending=True)
    supernet.sort_channels()
    assert torch.equal(block.se.conv2.conv.weight, squeeze[order][:, squeezed])


def test_a_network_without_matrices_starts_with_the_centres_of_its_kernels(supernet):
    """With every squeezed and inner channel as it is."""
    arch = SAMPLE
    plain = {
        key: value for key, value in supernet.state_dict().items() if 'to' not in key.split('.')[-1]
    }
    started, subnet = build(), build(arch=arch)
    load_state(started, plain, 'plain.pth')
    load_state(subnet, plain, 'plain.pth')
    matrices = started.stages[0][0].depthwise_conv.conv.kernel_matrices
    assert torch.equal(matrices['7to5'], torch.eye(25)) and torch.equal(
        matrices['5to3'], torch.eye(9)
    )
    started.eval().set_arch(arch)
    for ours, theirs in zip(started(images()), subnet.eval()(images()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    kernel = subnet.stages[0][0].depthwise_conv.conv.weight
    edge = (7 - kernel.shape[-1]) // 2
    whole = supernet.stages[0][0].depthwise_conv.conv.weight[: len(kernel)]
    assert edge and torch.equal(kernel, whole[:, :, edge:-edge, edge:-edge])


def test_the_norms_of_residual_branches():
    with torch.device('meta'):
        net = ElasticMobileNetV3()
    names = {layer: name for name, layer in net.named_modules()}
    # The first block of a stage has a stride or other channels than its input.
    assert [names[norm] for norm in net.residual_norms()] == [
        'first_block.linear_conv.bn',
        *(f'stages.{stage}.{place}.linear_conv.bn' for stage in range(5) for place in (1, 2, 3)),
    ]


def test_strides_of_the_stages():
    net = ElasticMobileNetV3(SPACE.smallest, WIDTH, strides=(1, 2, 2, 1, 2), out_indices=STAGES)
    sizes = [out.shape[-1] for out in net(torch.zeros(2, 3, 32, 32))]
    assert sizes == [16, 8, 4, 4, 2, 1]
    with pytest.raises(InputError, match=r'strides=\(1, 2\) of ElasticMobileNetV3: expected 5'):
        ElasticMobileNetV3(strides=(1, 2))


def test_the_space_is_known_by_its_name():
    assert backbone_type('elastic_mobilenet_v3') == 'pinas_mm.ElasticMobileNetV3'


def test_a_copy_runs_the_same_with_its_own_matrices(supernet):
    other = copy.deepcopy(supernet)
    arch = SPACE.smallest
    for net in (supernet, other):
        net.eval().set_arch(arch)
    with torch.no_grad():
        assert all(map(torch.equal, supernet(images()), other(images())))
        other.stages[0][0].depthwise_conv.conv.kernel_matrices['5to3'].zero_()
    assert not torch.equal(supernet(images())[0], other(images())[0])


def test_the_published_supernet_of_another_width():
    """``w1.2``: 1152 and 1536 channels at the end, multiples of 8 before."""
    with torch.device('meta'):
        net = ElasticMobileNetV3(widen_factor=1.2)
    assert net.final_expand.conv.out_channels == 1152 and net.out_channels == (1536,)
    assert [net.channels(full) for full in (16, 24, 40, 80, 112, 160)] == [24, 32, 48, 96, 136, 192]
