"""What holds of every elastic network that the package has."""

import copy

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

import pinas_mm  # noqa: F401
from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.costs.measure import measure_costs
from pinas_mm.errors import InputError

NETWORKS = ['ElasticEfficientNetLite0', 'ElasticMobileNetV2']
SIZE = (50, 37)


def build(name, **kwargs):
    return MODELS.build(
        dict(type=f'pinas_mm.{name}', widen_factor=0.25, out_indices=tuple(range(8))) | kwargs
    )


def randomised(net):
    """Norms included, so that no branch is switched off and no statistic is trivial."""
    generator = torch.Generator().manual_seed(0)
    net.init_weights()
    for layer in net.modules():
        if isinstance(layer, _BatchNorm):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_mean):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.2)
            layer.running_var.copy_(torch.rand(layer.running_var.shape, generator=generator) + 0.5)
    return net


def archs_of(space):
    """The smallest one and one drawn."""
    return space.smallest, space.sample(np.random.default_rng(1))


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


@pytest.fixture
def supernet(name):
    return randomised(build(name))


@pytest.fixture
def images():
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def test_supernet_and_subnet_agree_at_every_output(name, supernet, images, tmp_path):
    """In train and in eval mode, statistics included. The subnet slices the whole checkpoint."""
    path, state = tmp_path / 'net.pth', copy.deepcopy(supernet.state_dict())
    save_checkpoint(path, {f'backbone.{key}': value for key, value in state.items()}, {})
    for arch in archs_of(supernet.space):
        supernet.load_state_dict(state)
        init = dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')
        subnet = build(name, arch=arch, init_cfg=init)
        subnet.init_weights()
        supernet.set_arch(arch)
        for training in (True, False):
            outs = supernet.train(training)(images), subnet.train(training)(images)
            assert len(outs[0]) == 8
            for ours, theirs in zip(*outs, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
        taken, own = supernet.subnet_state(arch), subnet.state_dict()
        assert [*taken] == [*own]
        for key, value in own.items():
            torch.testing.assert_close(taken[key], value, rtol=1e-6, atol=1e-6)


def test_sorted_channels_compute_the_same(supernet, images):
    supernet.eval().set_arch(supernet.space.largest)
    before, weights = supernet(images), supernet.state_dict()
    weights = {key: value.clone() for key, value in weights.items()}
    supernet.sort_channels()
    state = supernet.state_dict()
    moved = {key.rpartition('.')[0] for key in state if not torch.equal(state[key], weights[key])}
    # In blocks that expand, all but the last norm; what blocks exchange keeps its order.
    expected = {
        f'{block.name}.{layer}'
        for block in supernet.elastic_blocks
        for inner in block.inner
        for layer in (*inner.writers, *inner.readers)
    }
    assert moved == expected and len(expected) == 5 * sum(
        bool(block.inner) for block in supernet.elastic_blocks
    )
    for ours, theirs in zip(supernet(images), before, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_costs_are_those_of_the_built_subnet(name, supernet):
    table, space = measure_costs(supernet, SIZE), supernet.space
    for arch in (*archs_of(space), space.largest):
        subnet = build(name, arch=arch).eval()
        with FlopCounterMode(display=False) as counter:
            subnet(torch.zeros(1, 3, *SIZE))
        macs = counter.get_total_flops() // 2
        params = sum(parameter.numel() for parameter in subnet.parameters())
        assert table.arch_costs(arch) == dict(macs=macs, backbone_macs=macs, params=params)


def test_a_checkpoint_of_another_width_is_no_parent(name, tmp_path):
    state = build(name, widen_factor=0.5).state_dict()
    save_checkpoint(tmp_path / 'net.pth', {f'backbone.{k}': v for k, v in state.items()}, {})
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'net.pth'), prefix='backbone.')
    for arch in (None, '0' * build(name).space.num_slots):
        with pytest.raises(InputError, match=r'net.pth: .*backbone.layer\d.*\(\d+, \d+'):
            build(name, arch=arch, init_cfg=init).init_weights()
