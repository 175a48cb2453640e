import re

import numpy as np
import pytest
import torch
from mmengine.model import PretrainedInit
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pinas_mm.checkpoint import load_strict, save_checkpoint
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import (
    SearchableMacroNet,
    SearchableNASBench201,
    SearchableResNeSt,
    SearchableShuffleNetV2,
)
from pinas_mm.spaces.subnet_file import SubnetFile

BACKBONES = [SearchableMacroNet, SearchableResNeSt, SearchableNASBench201, SearchableShuffleNetV2]
WIDTH = 0.25


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Norm layers included, so that no branch is switched off and no statistic is trivial."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
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
    return module


@pytest.fixture(params=BACKBONES)
def backbone(request):
    return request.param


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
def test_supernet_and_subnet_agree_at_every_stage(backbone, images, tmp_path):
    space = backbone.space
    stages = range(space.num_stages + bool(space.tail_channels))
    supernet = randomise(backbone(widen_factor=WIDTH, out_indices=stages))
    save_checkpoint(
        tmp_path / 'supernet.pth',
        {f'backbone.{k}': v for k, v in supernet.state_dict().items()},
        {},
    )
    rng = np.random.default_rng(0)
    for arch in [*space.sample_disjoint(rng), space.sample(rng)]:
        subnet = backbone(
            arch=arch,
            widen_factor=WIDTH,
            out_indices=stages,
            init_cfg=dict(
                type='Pretrained', checkpoint=str(tmp_path / 'supernet.pth'), prefix='backbone.'
            ),
        )
        subnet.init_weights()
        supernet.set_arch(arch)
        for training in (False, True):
            supernet.train(training), subnet.train(training)
            before = {k: v.clone() for k, v in supernet.state_dict().items()}
            ours, theirs = supernet(images), subnet(images)
            supernet.load_state_dict(before)
            assert len(ours) == len(stages)
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs))
        assert set(subnet.state_dict()) < set(supernet.state_dict())


def test_archs_compute_different_things(backbone, images):
    supernet = randomise(backbone(widen_factor=WIDTH)).eval()
    outs = []
    for choice in range(min(supernet.space.num_candidates)):
        supernet.set_arch((choice,) * supernet.space.num_slots)
        outs.append(supernet(images)[0])
    assert all(not torch.allclose(a, b) for i, a in enumerate(outs) for b in outs[:i])


def test_path_is_exactly_what_gets_gradients(backbone, images):
    supernet = randomise(backbone(widen_factor=WIDTH))
    arch = supernet.space.sample(np.random.default_rng(3))
    supernet.set_arch(arch)
    supernet(images)[-1].square().sum().backward()
    on_path = {id(p) for module in supernet.path(arch) for p in module.parameters()}
    assert on_path == {id(p) for p in supernet.parameters() if p.grad is not None}


def test_zero_init_makes_residual_blocks_their_shortcut(backbone):
    for zero, expected in ((True, 0.0), (False, 1.0)):
        net = backbone(widen_factor=WIDTH, zero_init_residual=zero)
        net.init_weights()
        norms = list(net.residual_norms())
        assert bool(norms) == (
            backbone is not SearchableShuffleNetV2
        )  # which has no shortcut to start as
        assert all((norm.weight == expected).all() for norm in norms)


def test_frozen_stages(backbone):
    net = backbone(widen_factor=WIDTH, frozen_stages=1)
    net.train()
    frozen = [
        net.stem,
        *[layer for layer, p in zip(net.layers, net.space.positions) if p.stage == 0],
    ]
    inside = {id(module) for part in frozen for module in part.modules()}
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            assert module.training == (id(module) not in inside)
            assert module.weight.requires_grad == (id(module) not in inside)
    last = net.space.num_stages + bool(net.space.tail_channels)
    everything = backbone(widen_factor=WIDTH, frozen_stages=last, frozen_norm_eval=False).train()
    assert not any(p.requires_grad for p in everything.parameters())
    assert all(m.training for m in everything.modules())
    assert not any(
        m.training
        for m in backbone(widen_factor=WIDTH, norm_eval=True).train().modules()
        if isinstance(m, _BatchNorm)
    )


def test_checkpointing_changes_no_gradient_and_no_statistic(backbone, images):
    """And keeps less: counted by the tensors that autograd saves."""
    arch = (2,) * backbone.space.num_slots
    nets = {
        with_cp: randomise(backbone(arch=arch, widen_factor=WIDTH, with_cp=with_cp))
        for with_cp in (False, True)
    }
    nets[True].load_state_dict(nets[False].state_dict())
    kept = {}
    for with_cp, net in nets.items():
        tensors = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, to=tensors: to.append(tensor) or tensor, lambda tensor: tensor
        ):
            out = net(images)[0]
        kept[with_cp] = sum(tensor.numel() for tensor in tensors)
        out.square().sum().backward()
    for ours, theirs in zip(nets[False].parameters(), nets[True].parameters()):
        assert ours.grad is not None and torch.equal(ours.grad, theirs.grad)
    state = nets[True].state_dict()
    assert all(torch.equal(value, state[key]) for key, value in nets[False].state_dict().items())
    # A graph can be gone through twice.
    loss = nets[True](images)[0].sum()
    state = {key: value.clone() for key, value in nets[True].state_dict().items()}
    loss.backward(retain_graph=True)
    loss.backward()
    assert all(torch.equal(value, state[key]) for key, value in nets[True].state_dict().items())
    assert kept[True] < 0.5 * kept[False]


def test_a_supernet_without_an_arch_says_so(backbone, images):
    with pytest.raises(RuntimeError, match='set_arch'):
        backbone(widen_factor=WIDTH)(images)


def test_a_subnet_keeps_its_arch(backbone):
    arch = (0,) * backbone.space.num_slots
    subnet = backbone(arch=arch, widen_factor=WIDTH)
    subnet.set_arch(arch)
    with pytest.raises(InputError, match='subnet built with'):
        subnet.set_arch((1,) * backbone.space.num_slots)


def test_arch_from_a_file_with_its_width(backbone, tmp_path):
    space = backbone.space
    arch = space.sample(np.random.default_rng(0))
    SubnetFile(space.name, arch, WIDTH).write(tmp_path / 'subnet.yaml')
    subnet = backbone(arch=str(tmp_path / 'subnet.yaml'))
    assert subnet.arch == arch and subnet.widen_factor == WIDTH
    assert backbone(arch=space.encode(arch), widen_factor=WIDTH).arch == arch
    with pytest.raises(InputError, match='widen_factor=0.25'):
        backbone(arch=str(tmp_path / 'subnet.yaml'), widen_factor=0.5)
    other = next(b for b in BACKBONES if b is not backbone)
    with pytest.raises(InputError, match=f"a subnet of space '{space.name}'"):
        other(arch=str(tmp_path / 'subnet.yaml'))


@pytest.mark.parametrize('kind', ['Pretrained', 'mmengine.model.PretrainedInit', PretrainedInit])
def test_pretrained_is_strict(backbone, tmp_path, kind):
    arch = (0,) * backbone.space.num_slots
    state = backbone(arch=arch, widen_factor=WIDTH).state_dict()
    init = dict(type=kind, checkpoint=str(tmp_path / 'net.pth'), prefix='backbone.')
    removed = list(state)[-2]
    save_checkpoint(
        tmp_path / 'net.pth', {f'backbone.{k}': v for k, v in state.items() if k != removed}, {}
    )
    with pytest.raises(InputError, match=f'missing: backbone.{removed}'):
        backbone(arch=arch, widen_factor=WIDTH, init_cfg=init).init_weights()
    save_checkpoint(tmp_path / 'net.pth', {f'backbone.{k}': v for k, v in state.items()}, {})
    with pytest.raises(
        InputError, match=r'wrong shape: .*stem.0.weight \(8, 3, 3, 3\)|wrong shape'
    ):
        backbone(arch=arch, widen_factor=0.5, init_cfg=init).init_weights()


def test_a_checkpoint_of_another_arch_is_told_by_its_keys(backbone, tmp_path):
    """A candidate's index is in its names: what is wanted and what is there instead differ in
    it."""
    first, second = (
        (3, 2) if backbone is SearchableNASBench201 else (2, 1)
    )  # candidates with weights
    other, arch = ((choice,) + (2,) * (backbone.space.num_slots - 1) for choice in (first, second))
    theirs, net = (backbone(arch=choices, widen_factor=WIDTH) for choices in (other, arch))
    state = {f'backbone.{k}': v for k, v in theirs.state_dict().items()} | {
        'head.weight': torch.zeros(1)
    }
    save_checkpoint(tmp_path / 'net.pth', state, {})
    net.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'net.pth'), prefix='backbone.')
    with pytest.raises(InputError) as error:
        net.init_weights()
    ours, theirs = ({f'backbone.{key}' for key in module.state_dict()} for module in (net, theirs))
    for title, keys in (('missing', ours - theirs), ('there instead', theirs - ours)):
        names = (
            re.search(f'; {title}: ([^;]*)', str(error.value))[1].partition(' and ')[0].split(', ')
        )
        assert set(names) <= keys and len(names) == min(8, len(keys))


@pytest.mark.slow
@pytest.mark.parametrize(
    'backbone, arch, other',
    [
        (
            SearchableMacroNet,
            '10010220',
            '10010222',
        ),  # an identity where the other has a convolution
        (SearchableNASBench201, '333331', '333333'),
    ],
)
def test_a_checkpoint_of_another_subnet_is_refused_though_it_has_every_key(
    backbone, arch, other, images, tmp_path
):
    net, theirs = backbone(arch, WIDTH), backbone(other, WIDTH)
    assert net.state_dict().keys() < theirs.state_dict().keys()
    net.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'net.pth'), prefix='backbone.')
    save_checkpoint(
        tmp_path / 'net.pth',
        {f'backbone.{key}': value for key, value in theirs.state_dict().items()},
        {},
    )
    state = torch.get_rng_state()
    model = nn.Module()
    model.backbone = net
    # By itself, and as tools load a whole model.
    for load in (net.init_weights, lambda: load_strict(model, tmp_path / 'net.pth')):
        with pytest.raises(
            InputError,
            match=rf'net.pth: the weights of another subnet than {arch}: it has \d+ tensors .* '
            rf'such as layers',
        ):
            load()
    assert net.arch == net.fixed_arch == backbone.space.decode(arch) and torch.equal(
        torch.get_rng_state(), state
    )
    # Its own weights, with or without a tail that is not read, and a supernet's.
    for source in (
        net,
        backbone(arch, WIDTH, out_indices=range(net.space.num_stages + 1)),
        backbone(None, WIDTH),
    ):
        save_checkpoint(
            tmp_path / 'net.pth',
            {f'backbone.{key}': value for key, value in source.state_dict().items()},
            {},
        )
        net.init_weights()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(out_indices=(9,)), 'out_indices'),
        (dict(out_indices=(1, 0)), r'out_indices=\(1, 0\) .* each once, in order'),
        (dict(out_indices=(1, 1)), r'out_indices=\(1, 1\) .* each once, in order'),
        (dict(frozen_stages=9), 'frozen_stages=9'),
        (dict(arch=[0, 1]), '2 entries'),
        (dict(arch='no/such/subnet.yaml'), 'no/such/subnet.yaml'),
    ],
)
def test_bad_arguments_are_named(backbone, arguments, message):
    with pytest.raises(InputError, match=message):
        backbone(widen_factor=WIDTH, **arguments)


def test_out_channels_are_those_of_the_feature_maps(backbone, images):
    stages = range(backbone.space.num_stages + bool(backbone.space.tail_channels))
    net = backbone(arch=(1,) * backbone.space.num_slots, widen_factor=WIDTH, out_indices=stages)
    assert net.out_channels == tuple(out.shape[1] for out in net(images))


# Gates.


@pytest.mark.parametrize('channels', [1, 4])
def test_images_may_have_other_channels_than_three(backbone, channels, tmp_path):
    arch = (2,) * backbone.space.num_slots
    images = torch.randn(2, channels, 64, 64)
    supernet = backbone(widen_factor=WIDTH, in_channels=channels)
    supernet.set_arch(arch)
    supernet(images)[-1].sum().backward()
    first = next(module for module in supernet.modules() if isinstance(module, nn.Conv2d))
    assert first.in_channels == channels and first.weight.grad.abs().sum() > 0
    # The subnet file alone builds the right network.
    SubnetFile(backbone.space.name, arch, WIDTH, in_channels=channels).write(
        tmp_path / 'subnet.yaml'
    )
    subnet = backbone(arch=str(tmp_path / 'subnet.yaml'))
    assert subnet.in_channels == channels and subnet(images)[-1].shape[0] == 2
    with pytest.raises(InputError, match=f'found at in_channels={channels}, but .* was given 3'):
        backbone(arch=str(tmp_path / 'subnet.yaml'), in_channels=3)


@pytest.mark.parametrize(
    'size',
    [
        dict(widen_factor=0),
        dict(widen_factor=-1.0),
        dict(widen_factor=float('nan')),
        dict(widen_factor='0.5'),
        dict(in_channels=0),
        dict(in_channels=1.0),
        dict(in_channels=True),
    ],
)
def test_sizes_that_no_network_has_are_named(backbone, size):
    (name,) = size
    with pytest.raises(InputError, match=rf'^{backbone.__name__}\.{name}=.*: expected a .*number'):
        backbone(**size)


def gated_loss(backbone, images, gates=None):
    backbone.gates = gates
    return sum(out.pow(2).mean() * (index + 1) for index, out in enumerate(backbone(images)))


def modules_of(backbone, slot, arch):
    """What runs for the choice of one slot, at every position that reads it."""
    return [
        (layer[str(slot)] if position.parallel else layer)[str(arch[slot])]
        for layer, position in zip(backbone.layers, backbone.space.positions)
        if slot in position.slots
    ]


def small(backbone):
    torch.manual_seed(0)
    stages = range(backbone.space.num_stages + bool(backbone.space.tail_channels))
    supernet = randomise(backbone(widen_factor=WIDTH, out_indices=stages)).double().train()
    arch = supernet.space.sample(np.random.default_rng(1))
    supernet.set_arch(arch)
    return (
        supernet,
        arch,
        torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64),
    )


@pytest.mark.parametrize('backbone', [SearchableMacroNet, SearchableNASBench201])
def test_the_gradient_of_a_gate_is_what_scaling_the_blocks_output_changes(backbone):
    supernet, arch, images = small(backbone)
    gates = torch.ones(supernet.space.num_slots, dtype=torch.float64, requires_grad=True)
    gated_loss(supernet, images, gates).backward()
    for slot in range(supernet.space.num_slots):
        losses = []
        for factor in (1 + 1e-6, 1 - 1e-6):  # small: few ReLUs change sides
            hooks = [
                module.register_forward_hook(
                    lambda module, inputs, output, factor=factor: output * factor
                )
                for module in modules_of(supernet, slot, arch)
            ]
            with torch.no_grad():
                losses.append(gated_loss(supernet, images).item())
            for hook in hooks:
                hook.remove()
        assert gates.grad[slot].item() == pytest.approx(
            (losses[0] - losses[1]) / 2e-6, rel=1e-4, abs=1e-8
        ), slot
    assert gates.grad.abs().max() > 1e-3


@pytest.mark.parametrize('backbone', BACKBONES)
def test_gates_of_one_change_nothing_else(backbone):
    supernet, arch, images = small(backbone)
    results = []
    for gates in (
        None,
        torch.ones(supernet.space.num_slots, dtype=torch.float64, requires_grad=True),
    ):
        supernet.zero_grad()
        loss = gated_loss(supernet, images, gates)
        loss.backward()
        results.append(
            {
                name: parameter.grad.clone()
                for name, parameter in supernet.named_parameters()
                if parameter.grad is not None
            }
        )
    assert results[0].keys() == results[1].keys() and all(
        torch.equal(results[0][name], results[1][name]) for name in results[0]
    )
    ran = {parameter for module in supernet.path(arch) for parameter in module.parameters()}
    # Of a cell, also edges run that lead nowhere.
    assert {name for name, parameter in supernet.named_parameters() if parameter in ran} >= results[
        0
    ].keys()


@pytest.mark.slow
@pytest.mark.parametrize('backbone', BACKBONES)
def test_gates_and_checkpointed_positions_go_together(backbone):
    gradients = []
    for with_cp in (False, True):
        supernet, _, images = small(backbone)
        supernet.with_cp = with_cp
        gates = torch.ones(supernet.space.num_slots, dtype=torch.float64, requires_grad=True)
        gated_loss(supernet, images, gates).backward()
        gradients.append(gates.grad)
    torch.testing.assert_close(*gradients)


def test_the_gradient_of_a_gate_does_not_overflow_in_half_precision():
    supernet = SearchableMacroNet(widen_factor=0.125)
    gates = torch.ones(supernet.space.num_slots, requires_grad=True)
    supernet.gates = gates
    x = torch.full((4, 8, 32, 32), 3.0, dtype=torch.float16, requires_grad=True)
    out = supernet.gated((2,), x)
    assert out.dtype == torch.float16
    out.backward(torch.full_like(out, 2.0))
    assert gates.grad[2].item() == 6 * x.numel() > torch.finfo(torch.float16).max
    assert x.grad.dtype == torch.float16 and (x.grad == 2).all()


@pytest.mark.parametrize('arch', ['1;0;2', '1-0-2'])
def test_text_that_is_no_arch_is_not_taken_for_a_file(arch):
    with pytest.raises(
        InputError, match=re.escape(f"arch of SearchableMacroNet: '{arch}' is not an arch of space")
    ):
        SearchableMacroNet(arch, WIDTH)
