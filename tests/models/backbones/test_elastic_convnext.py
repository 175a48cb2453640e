import digit_supernets
import numpy as np
import pytest
import torch
from digit_supernets import dataloader
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.models import ConvNeXt
from torch import nn

import pinas_mm  # noqa: F401
from pinas_mm.checkpoint import load_strict, save_checkpoint
from pinas_mm.costs import measure_costs
from pinas_mm.costs.counter import counting
from pinas_mm.engine.loaders import calibration_loader, whole_set_loader
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import ElasticConvNeXt, backbone_type
from pinas_mm.scoring.evaluator import ArchEvaluator
from pinas_mm.spaces.elastic_convnext import ELASTIC_CONVNEXTS
from pinas_mm.spaces.subnet_file import SubnetFile

WIDTH, STAGES = 1 / 12, (0, 1, 2, 3)  # 8 channels in the first stage
DEPTHS = dict(tiny=[3, 3, 9, 3], small=[3, 3, 27, 3], base=[3, 3, 27, 3])


def randomise(module, seed=0):
    """Layer scales and norms included, so that no branch is switched off."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        if name.endswith('gamma') or isinstance(
            module.get_submodule(name.rpartition('.')[0]), nn.LayerNorm
        ):
            parameter.data.copy_(torch.rand(parameter.shape, generator=generator) + 0.2)
    return module


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def theirs(size, channels=8, out_indices=STAGES, **kwargs):
    channels = [channels * 2**stage for stage in range(4)]
    network = ConvNeXt(
        dict(depths=DEPTHS[size], channels=channels), out_indices=list(out_indices), **kwargs
    )
    return randomise(network)


def saved(network, path):
    state = {f'backbone.{key}': value for key, value in network.state_dict().items()}
    save_checkpoint(path, state | {'head.fc.weight': torch.zeros(10, 8)}, {})
    return dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')


def built(size='tiny', **kwargs):
    width = {'base': 1 / 16}.get(size, WIDTH)
    torch.manual_seed(0)
    kwargs = dict(widen_factor=width, out_indices=STAGES, gap_before_final_norm=False) | kwargs
    return ElasticConvNeXt(size, **kwargs)


@pytest.mark.parametrize(
    'size, kwargs',
    [
        ('tiny', dict(gap_before_final_norm=False)),
        ('tiny', dict(gap_before_final_norm=True, drop_path_rate=0.5)),
        ('tiny', dict(linear_pw_conv=False, layer_scale_init_value=0.0)),
        ('tiny', dict(norm_cfg=dict(type='LN2d', eps=1e-2), in_channels=1)),
        ('small', dict(gap_before_final_norm=False, drop_path_rate=0.2)),
        ('base', {}),
    ],
)
def test_the_largest_arch_is_mmpretrains_network(size, kwargs, images, tmp_path):
    """From a checkpoint of mmpretrain's classifier, in train and in eval mode, at every output; in
    train mode with the same blocks dropped."""
    network = theirs(size, **kwargs)
    init = saved(network, tmp_path / 'mm.pth')
    ours = built(size, init_cfg=init, **(dict(gap_before_final_norm=True) | kwargs))
    ours.init_weights()
    assert [*ours.state_dict()] == [*network.state_dict()]
    ours.set_arch(ours.space.largest)
    images = images[:, : kwargs.get('in_channels', 3)]
    for training in (True, False):
        ours.train(training), network.train(training)
        outs = []
        for net in (ours, network):
            torch.manual_seed(3)
            outs.append(net(images))
        assert len(outs[0]) == 4
        for a, b in zip(*outs, strict=True):
            assert torch.equal(a, b)
    assert ours.out_channels == tuple(out.shape[1] for out in outs[0])
    # And its gradients.
    for out in outs:
        sum((y * y).sum() for y in out).backward()
    gradients = dict(network.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name].grad, rtol=1e-4, atol=1e-5)


def test_the_sizes_are_mmpretrains():
    for size, space in ELASTIC_CONVNEXTS.items():
        theirs = ConvNeXt.arch_settings[size]
        stages = [position.stage for position in space.positions]
        assert [stages.count(stage) for stage in STAGES] == theirs['depths'] == DEPTHS[size]
        channels = dict(zip(stages, (position.out_channels for position in space.positions)))
        assert [*channels.values()] == theirs['channels']
    with torch.device('meta'):
        ours = ElasticConvNeXt('tiny')
    shapes = {key: value.shape for key, value in ConvNeXt('tiny').state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == shapes
    assert ours.stages[0][0].gamma.is_meta


ARCHS = ['smallest', 'mixed', 'deep']


def arch_of(space, name):
    if name == 'smallest':
        return space.smallest
    if name == 'mixed':
        return space.sample(np.random.default_rng(0))
    # All blocks, with the smallest kernels and MLPs.
    return tuple(2 * ('depth' in slot[0].block) for slot in space.candidates)


@pytest.mark.parametrize('name', ARCHS)
@pytest.mark.parametrize('gap', [True, False])
def test_supernet_and_subnet_agree_at_every_output_and_in_every_gradient(
    name, gap, images, tmp_path
):
    supernet = randomise(built(gap_before_final_norm=gap, drop_path_rate=0.3))
    space = supernet.space
    arch = arch_of(space, name)
    init = saved(supernet, tmp_path / 'net.pth')
    SubnetFile(space.name, arch, WIDTH).write(tmp_path / 'subnet.yaml')
    # The file says which network it is a part of.
    subnet = MODELS.build(
        dict(
            type='pinas_mm.ElasticConvNeXt',
            arch=str(tmp_path / 'subnet.yaml'),
            out_indices=STAGES,
            gap_before_final_norm=gap,
            drop_path_rate=0.3,
            init_cfg=init,
        )
    )
    subnet.init_weights()
    assert (subnet.size, subnet.arch) == ('tiny', arch)
    supernet.set_arch(arch)
    own, taken = subnet.state_dict(), supernet.subnet_state(arch)
    assert [*taken] == [*own]
    assert all(torch.equal(taken[key], own[key]) for key in own)
    for training in (True, False):
        outs = []
        for net in (supernet, subnet):
            net.train(training).zero_grad()
            torch.manual_seed(5)  # the same blocks are dropped
            outs.append(net(images))
            sum(out.square().mean() for out in outs[-1]).backward()
        for a, b in zip(*outs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    whole = dict(supernet.named_parameters())
    for key, parameter in subnet.named_parameters():
        gradient = whole[key].grad
        # The first channels, and the centre of a kernel.
        part = [slice(size) for size in parameter.shape]
        for axis in range(2, gradient.ndim):
            edge = (gradient.shape[axis] - parameter.shape[axis]) // 2
            part[axis] = slice(edge, edge + parameter.shape[axis])
        part = tuple(part)
        torch.testing.assert_close(gradient[part], parameter.grad, rtol=1e-3, atol=1e-5)
        rest = gradient.clone()
        rest[part] = 0
        assert not rest.any()
    ran = {key for key, parameter in whole.items() if parameter.grad is not None}
    assert ran == {key for key, _ in subnet.named_parameters()}
    path = {id(p) for module in supernet.path(arch) for p in module.parameters()}
    assert ran == {key for key, parameter in whole.items() if id(parameter) in path}


def by_hand(block, x, kernel, inner):
    """ConvNeXt's block with every tensor sliced where it is used."""
    edge = (7 - kernel) // 2
    weight = block.depthwise_conv.weight[..., edge : 7 - edge, edge : 7 - edge]
    out = nn.functional.conv2d(
        x, weight, block.depthwise_conv.bias, padding=kernel // 2, groups=len(weight)
    )
    out = out.permute(0, 2, 3, 1)
    out = nn.functional.layer_norm(
        out, out.shape[-1:], block.norm.weight, block.norm.bias, block.norm.eps
    )
    first, second = block.pointwise_conv1, block.pointwise_conv2
    out = nn.functional.gelu(out @ first.weight[:inner].t() + first.bias[:inner])
    out = out @ second.weight[:, :inner].t() + second.bias
    return x + (out * block.gamma).permute(0, 3, 1, 2)


def test_an_arch_is_the_first_blocks_the_centre_of_kernels_and_the_first_of_the_mlp(images):
    net = randomise(built()).eval()
    arch = arch_of(net.space, 'mixed')
    net.set_arch(arch)
    slots, x, expected = iter(arch), images, []
    for stage, most in enumerate(DEPTHS['tiny']):
        depth = (most // 2, 3 * most // 4, most)[next(slots)]
        x = net.downsample_layers[stage](x)
        for number in range(most):
            kernel, width = (3, 5, 7)[next(slots)], (2, 3, 4)[next(slots)]
            if number < depth:
                x = by_hand(net.stages[stage][number], x, kernel, width * x.shape[1])
        expected.append(getattr(net, f'norm{stage}')(x))
    for ours, theirs in zip(net(images), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_sorted_channels_compute_the_same(images):
    net = randomise(built()).eval()
    net.set_arch(net.space.largest)
    before, weight = net(images), net.stages[0][0].pointwise_conv1.weight.clone()
    net.sort_channels()
    assert not torch.equal(net.stages[0][0].pointwise_conv1.weight, weight)
    for ours, expected in zip(net(images), before, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    for stage in net.stages:
        importance = stage[0].pointwise_conv2.weight.abs().sum(dim=0)
        assert (importance.diff() <= 1e-6).all() and importance[0] > importance[-1]


def test_costs_are_those_of_the_built_subnets():
    supernet = built()
    table, space = measure_costs(supernet, 64), supernet.space
    for name in (*ARCHS, 'largest'):
        arch = space.largest if name == 'largest' else arch_of(space, name)
        subnet = built(arch=arch).eval()
        with torch.no_grad(), counting() as count:
            _, macs, params = count(subnet, torch.zeros(1, 3, 64, 64))
        assert params == sum(parameter.numel() for parameter in subnet.parameters())
        assert table.arch_costs(arch) == dict(macs=macs, backbone_macs=macs, params=params)


def test_a_classifiers_checkpoint_starts_a_detectors_backbone(tmp_path):
    """It has the norm of the last output alone; the others start as they are."""
    network = theirs('tiny', out_indices=[3])
    init = saved(network, tmp_path / 'mm.pth')
    for kwargs in ({}, dict(arch=ELASTIC_CONVNEXTS['tiny'].smallest)):
        net = built(init_cfg=init, **kwargs)
        net.init_weights()
        assert torch.equal(net.norm3.weight, network.norm3.weight)
        assert (net.norm0.weight == 1).all() and not net.norm0.bias.any()
        block = net.stages[0][0]
        assert torch.equal(block.gamma, network.stages[0][0].gamma)
        # Later, every tensor has to be there.
        with pytest.raises(InputError, match='missing: backbone.norm0.weight'):
            load_strict(net, tmp_path / 'mm.pth', 'backbone.')
    short = built(init_cfg=init, out_indices=(1, 2))
    short.init_weights()
    assert not hasattr(short, 'norm3') and (short.norm1.weight == 1).all()


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(size='small'), r"another network than 'elastic_convnext_tiny'.*stages\.2\.10"),
        (
            dict(use_grn=True, layer_scale_init_value=0.0),
            r'missing: backbone\.stages.*gamma|88 tensors of blocks that this one does not run',
        ),
        (dict(channels=16), r'wrong shape: .*\(16, 3, 4, 4\)|is \(64, 16\), expected \(16, 8\)'),
        (dict(linear_pw_conv=False), r'pointwise_conv1\.weight'),
    ],
)
def test_the_weights_of_another_network_are_refused(change, message, tmp_path):
    init = saved(theirs(**(dict(size='tiny') | change)), tmp_path / 'net.pth')
    for arch in (None, ELASTIC_CONVNEXTS['tiny'].smallest):
        net = built(arch=arch, init_cfg=init)
        with pytest.raises(InputError, match=message):
            net.init_weights()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(), r"ElasticConvNeXt: expected size, one of \['base', 'small', 'tiny'\]"),
        (dict(arch='0' * 40), 'ElasticConvNeXt: expected size'),
        (dict(size='huge'), "size.*huge.*'tiny'"),
        (dict(size='tiny', arch='0' * 20), 'has 20 entries, .* 40 slots'),
        (dict(size='tiny', out_indices=(4,)), r'out_indices=\(4,\)'),
        (dict(size='tiny', norm_cfg=dict(type='BN')), "norm_cfg=.*'BN'.* expected type LN2d"),
        (dict(size='tiny', conv_cfg=dict(type='DCN')), 'conv_cfg=.*DCN.* expected none'),
        (dict(size='tiny', drop_path_rate=1.5), 'drop_path_rate.*1.5'),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        ElasticConvNeXt(**arguments)


def test_a_space_is_known_by_the_name_that_a_subnet_file_holds(tmp_path):
    for space in ELASTIC_CONVNEXTS.values():
        assert backbone_type(space.name) == 'pinas_mm.ElasticConvNeXt'
    SubnetFile('elastic_resnet18', (0,) * 12).write(tmp_path / 'subnet.yaml')
    with pytest.raises(InputError, match='ElasticConvNeXt: expected size'):
        ElasticConvNeXt(arch=tmp_path / 'subnet.yaml')


def test_it_starts_as_mmpretrains():
    ours, network = built(), theirs('tiny')
    for net in (ours, network):
        torch.manual_seed(0)
        net.init_weights()
    state = network.state_dict()
    for key, value in ours.state_dict().items():
        if not key.endswith('gamma'):  # which neither initialises again
            assert torch.equal(value, state[key]), key
    assert (ours.stages[0][0].gamma == 1e-6).all()


def test_frozen_stages_have_their_downsampling():
    net = built(frozen_stages=2)
    learned = {
        name.partition('.')[2].partition('.')[0]
        for name, parameter in net.named_parameters()
        if parameter.requires_grad and name.startswith(('stages', 'downsample_layers'))
    }
    assert learned == {'2', '3'}


def test_checkpointing_changes_no_gradient(images):
    gradients = []
    for with_cp in (False, True):
        net = randomise(built(with_cp=with_cp, drop_path_rate=0.3)).train()
        net.set_arch(arch_of(net.space, 'mixed'))
        torch.manual_seed(4)
        sum(out.square().mean() for out in net(images)).backward()
        gradients.append({name: p.grad for name, p in net.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.equal(a, gradients[1][name]) for name, a in gradients[0].items())


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmseg'])
def test_it_is_built_in_every_scope(scope):
    init_default_scope(scope)
    assert MODELS.build(dict(type='pinas_mm.ElasticConvNeXt', size='tiny', widen_factor=WIDTH))


class Sums(BaseMetric):
    """A number that depends on every bit of every score."""

    def process(self, data_batch, data_samples):
        self.results += [sample['pred_score'].double().sum() for sample in data_samples]
        self.results += [sample['pred_score'].double().square().sum() for sample in data_samples]

    def compute_metrics(self, results):
        return dict(sum=float(sum(value * (i + 1) for i, value in enumerate(results))))


def test_archs_evaluated_together_equal_each_alone():
    """Bit by bit, and what they share runs once."""
    model = randomise(
        digit_supernets.build(
            backbone='ElasticConvNeXt', channels=96, size='tiny', gap_before_final_norm=False
        )
    )
    loaders = (
        calibration_loader(dataloader('learning', 16), 4),
        whole_set_loader(dataloader('held_out', 16), 16),
    )
    backbone, runs = model.backbone, []
    for stage in backbone.stages:
        for block in stage:
            block.register_forward_hook(lambda *_: runs.append(1))

    def evaluate(archs, **kwargs):
        runs.clear()
        evaluator = ArchEvaluator(model, *loaders, lambda: Evaluator([Sums()]), **kwargs)
        return evaluator.evaluate(archs), len(runs)

    space, rng = backbone.space, np.random.default_rng(0)
    first = space.sample(rng)
    depth = space.depth_slot(3)
    # Two of the last stage's depth, one of another last block, one of other blocks everywhere.
    archs = [(*first[:depth], choice, *first[depth + 1 :]) for choice in (0, 2)]
    archs += [(*archs[1][:-1], (archs[1][-1] + 1) % 3), space.sample(rng)]
    together, shared = evaluate(archs)
    alone = [evaluate([arch], share_prefixes=False) for arch in archs]
    assert together == [scores for (scores,), _ in alone]
    assert shared < sum(count for _, count in alone)
    assert len({scores['sum'] for scores in together}) == 4


def test_there_are_no_statistics_to_warn_of(images, bn_warnings):
    net = built().eval()
    for arch in (net.space.largest, net.space.smallest):
        net.set_arch(arch)
        net(images)
        assert not net.has_statistics_of(arch)
    assert not bn_warnings
