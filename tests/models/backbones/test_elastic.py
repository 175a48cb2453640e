import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.runner import load_checkpoint
from mmpretrain.models.utils import LayerNorm2d
from tiny_elastic import TINY, Network, TinyElastic
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from pinas_mm.checkpoint import load_strict, save_checkpoint
from pinas_mm.errors import InputError
from pinas_mm.models.backbones.elastic import (
    ElasticBlock,
    InnerChannels,
    KernelMatrices,
    LayerPart,
    smaller_kernel,
)
from pinas_mm.models.selfsup import PiNAS
from pinas_mm.subnets.state_dict import subnet_state_dict

STAGES = (0, 1, 2)
# Depth, then width and kernel of every block: a shallow one, a deep narrow one, and a mixture.
ARCHS = ('0 00 00 0 00 00 00', '1 00 10 2 01 00 10', '1 10 01 1 11 10 00')


def arch_of(text):
    return TINY.decode(text.replace(' ', ''))


def randomise(module, seed=0):
    """Norms too, so that no tensor is trivial."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 1.0 - 0.5)
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            for tensor in (layer.weight.data, layer.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module


@pytest.fixture
def supernet():
    return randomise(TinyElastic(out_indices=STAGES))


@pytest.fixture
def images():
    return torch.randn(3, 3, 24, 24, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def saved(supernet, tmp_path):
    path = tmp_path / 'supernet.pth'
    state = {f'backbone.{key}': value for key, value in supernet.state_dict().items()}
    save_checkpoint(path, state | {'head.weight': torch.zeros(3)}, {})
    return path


def pretrained(path):
    return dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')


def subnet_of(path, arch, **kwargs):
    subnet = TinyElastic(arch=arch, out_indices=STAGES, init_cfg=pretrained(path), **kwargs)
    subnet.init_weights()
    return subnet


@pytest.mark.parametrize('training', [True, False])
def test_the_largest_arch_is_the_network(supernet, images, training):
    network = Network()
    assert [*supernet.state_dict()] == [*network.state_dict()]
    network.load_state_dict(supernet.state_dict())
    supernet.set_arch(TINY.largest)
    ours, theirs = supernet.train(training)(images), network.train(training)(images)
    assert len(ours) == 3 and all(torch.equal(a, b) for a, b in zip(ours, theirs))
    state = network.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in supernet.state_dict().items())


def by_hand(network, arch, x):
    """The maps of an arch, with every tensor sliced where it is used."""
    maps, slots = [], iter(arch)
    x = network.stem(x)
    blocks = iter(network.blocks)
    for most in (2, 3):
        depth = next(slots) + 1
        for number in range(most):
            block, width, kernel = next(blocks), next(slots), next(slots)
            if number >= depth:
                continue
            inner = block.expand.out_channels // (1 if width else 2)
            edge = 0 if kernel else 1

            def norm(layer, out):
                args = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
                args = [tensor[: out.shape[1]] for tensor in args]
                return nn.functional.batch_norm(out, *args)

            out = norm(block.norm1, nn.functional.conv2d(x, block.expand.weight[:inner])).relu()
            weight = block.depthwise.weight[:inner, :, edge : 5 - edge, edge : 5 - edge]
            out = nn.functional.conv2d(
                out,
                weight,
                block.depthwise.bias[:inner],
                block.depthwise.stride,
                padding=weight.shape[-1] // 2,
                groups=inner,
            )
            out = nn.functional.conv2d(
                norm(block.norm2, out).relu(), block.project.weight[:, :inner]
            )
            out = norm(block.norm3, out)
            x = x + out if block.shortcut else out
        maps.append(x)
    return *maps, network.tail(x)


@pytest.mark.parametrize('text', ARCHS)
def test_an_arch_is_the_first_blocks_the_first_channels_and_the_centre_of_kernels(
    supernet, images, text
):
    supernet.eval().set_arch(arch_of(text))
    expected = by_hand(supernet, arch_of(text), images)
    for ours, theirs in zip(supernet(images), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('text', ARCHS)
@pytest.mark.parametrize('training', [True, False])
def test_supernet_and_subnet_agree_at_every_output_and_in_every_gradient(
    supernet, images, saved, text, training
):
    arch = arch_of(text)
    subnet = subnet_of(saved, arch).train(training)
    supernet.train(training).set_arch(arch)
    ours, theirs = supernet(images), subnet(images)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    # The statistics too that BN has gathered of the batch.
    own = subnet.state_dict()
    taken = supernet.subnet_state(arch)
    assert [*taken] == [*own] and all(taken[key].shape == own[key].shape for key in own)
    for key in own:
        torch.testing.assert_close(taken[key], own[key], rtol=1e-6, atol=1e-6)
    for maps in (ours, theirs):
        sum(out.square().mean() for out in maps).backward()
    whole = dict(supernet.named_parameters())
    for name, parameter in subnet.named_parameters():
        gradient = whole[name].grad
        part = subnet._subnet_parts.get(name, LayerPart()).index(gradient.shape)
        torch.testing.assert_close(gradient[part], parameter.grad, rtol=1e-4, atol=1e-6)
        # Nothing reaches what does not run.
        rest = gradient.clone()
        rest[part] = 0
        assert not rest.any()
    ran = {key for key, parameter in whole.items() if parameter.grad is not None}
    assert ran == {name for name, _ in subnet.named_parameters()}
    assert ran == {
        name
        for name, parameter in whole.items()
        if any(parameter is p for module in supernet.path(arch) for p in module.parameters())
    }


def test_a_subnet_has_tensors_and_layers_of_its_own_size(saved):
    subnet = subnet_of(saved, arch_of('0 00 00 1 10 01 00'))
    assert {name.split('.')[1] for name in subnet.state_dict() if name.startswith('blocks')} == {
        *'023'
    }
    block = subnet.blocks[0]
    assert (block.expand.out_channels, block.norm1.num_features) == (8, 8)
    assert (block.depthwise.groups, block.depthwise.kernel_size) == (8, (3, 3))
    assert block.depthwise.weight.shape == (8, 1, 3, 3) and block.depthwise.padding == (1, 1)
    assert (block.project.in_channels, block.project.out_channels) == (8, 8)
    assert subnet.get_submodule('blocks.3').depthwise.kernel_size == (5, 5)
    assert all(parameter.is_leaf and parameter.requires_grad for parameter in subnet.parameters())


def test_a_subnet_takes_its_part_however_it_is_loaded(supernet, images, saved, tmp_path):
    arch = arch_of(ARCHS[1])
    expected = subnet_of(saved, arch).state_dict()
    plain, by_mmengine, resumed = (TinyElastic(arch=arch, out_indices=STAGES) for _ in range(3))
    whole = supernet.state_dict()
    used = {key: value for key, value in whole.items() if key in expected}
    plain.load_state_dict(used)
    assert used.keys() == expected.keys() and used['blocks.0.expand.weight'].shape[0] == 16
    holder = nn.Module()
    holder.backbone = by_mmengine
    load_checkpoint(holder, str(saved), strict=False)
    # A checkpoint of its own is one too.
    save_checkpoint(tmp_path / 'own.pth', {f'backbone.{k}': v for k, v in expected.items()}, {})
    resumed.init_cfg = pretrained(tmp_path / 'own.pth')
    resumed.init_weights()
    for subnet in (plain, by_mmengine, resumed, copy.deepcopy(resumed)):
        state = subnet.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in expected.items())


def changed(state, name, value):
    return {f'backbone.{key}': value if key == name else kept for key, kept in state.items()}


def test_a_tensor_that_is_no_slice_is_named_with_its_shapes(supernet, tmp_path):
    arch, name = arch_of(ARCHS[0]), 'blocks.0.expand.weight'
    subnet = TinyElastic(arch=arch, init_cfg=pretrained(tmp_path / 'net.pth'))
    state = changed(supernet.state_dict(), name, torch.zeros(12, 4, 1, 1))
    save_checkpoint(tmp_path / 'net.pth', state, {})
    message = (
        r'net.pth: backbone.blocks.0.expand.weight is \(12, 4, 1, 1\), expected \(8, 4, 1, 1\) as '
        r'this subnet of TinyElastic has it, or \(16, 4, 1, 1\) of the whole network'
    )
    with pytest.raises(InputError, match=message):
        subnet.init_weights()
    with pytest.raises(InputError, match=message.replace('net.pth', 'checkpoint')):
        holder = nn.Module()
        holder.backbone = subnet
        load_checkpoint(holder, str(tmp_path / 'net.pth'), strict=False)
    # One of this subnet's size among those of the whole network.
    state = changed(supernet.state_dict(), name, torch.zeros(8, 4, 1, 1))
    save_checkpoint(tmp_path / 'net.pth', state, {})
    with pytest.raises(
        InputError,
        match=r'net.pth: backbone.blocks.0.expand.weight has the shape of this subnet and '
        r'backbone.blocks.0.norm1.weight that of the whole',
    ):
        subnet.init_weights()
    # And a tensor that no arch slices.
    state = changed(supernet.state_dict(), 'stem.0.weight', torch.zeros(5, 3, 3, 3))
    save_checkpoint(tmp_path / 'net.pth', state, {})
    with pytest.raises(InputError, match=r'wrong shape: backbone.stem.0.weight \(5, 3, 3, 3\)'):
        subnet.init_weights()


@pytest.mark.parametrize(
    'theirs, ours',
    [
        ('1 00 00 2 00 00 00', '0 00 00 2 00 00 00'),  # deeper, of the same widths
        ('1 11 11 1 11 11 11', '0 11 11 1 11 11 11'),  # the same, where widths are whole
    ],
)
def test_the_weights_of_another_subnet_are_refused(supernet, tmp_path, theirs, ours):
    state = supernet.subnet_state(arch_of(theirs))
    save_checkpoint(tmp_path / 'net.pth', {f'backbone.{k}': v for k, v in state.items()}, {})
    subnet = TinyElastic(arch=arch_of(ours), init_cfg=pretrained(tmp_path / 'net.pth'))
    with pytest.raises(InputError, match=r'net.pth: the weights of another subnet than .*blocks.1'):
        subnet.init_weights()


def test_the_weights_of_another_network_are_refused(supernet, tmp_path):
    state = {f'backbone.{key}': value for key, value in supernet.state_dict().items()}
    state['backbone.blocks.5.expand.weight'] = torch.zeros(24, 12, 1, 1)
    save_checkpoint(tmp_path / 'net.pth', state, {})
    for arch in (None, TINY.smallest):
        net = TinyElastic(arch=arch, init_cfg=pretrained(tmp_path / 'net.pth'))
        with pytest.raises(
            InputError, match="another network than 'tiny_elastic': .* 1 tensors .*blocks.5.expand"
        ):
            net.init_weights()


def strictly(model, state, folder):
    save_checkpoint(folder / 'net.pth', state, {})
    load_strict(model, folder / 'net.pth')


def by_mmengine(model, state, folder):
    """As ``load_from`` does: what does not fit is left out, with a warning."""
    save_checkpoint(folder / 'net.pth', state, {})
    load_checkpoint(model, str(folder / 'net.pth'), strict=False)


def by_torch(model, state, folder):
    model.load_state_dict(state, strict=False)


@pytest.mark.parametrize('load', [strictly, by_mmengine, by_torch])
@pytest.mark.parametrize('arch', [None, TINY.smallest], ids=['supernet', 'subnet'])
def test_no_parent_is_taken_by_a_model_however_it_is_loaded(supernet, tmp_path, load, arch):
    """A deeper network, a wider one and one with other blocks."""

    def loaded(**changes):
        model = nn.Module()
        model.backbone, model.head = TinyElastic(arch=arch, out_indices=STAGES), nn.Linear(20, 2)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        state = {f'backbone.{key}': value for key, value in supernet.state_dict().items()}
        state |= {f'head.{key}': value for key, value in nn.Linear(20, 2).state_dict().items()}
        state |= {key.replace('__', '.'): value for key, value in changes.items()}
        try:
            load(model, state, tmp_path)
        except InputError:
            assert all(map(torch.equal, before.values(), model.state_dict().values()))
            raise

    loaded()
    block = torch.zeros(24, 12, 1, 1)
    with pytest.raises(
        InputError, match=r"another network than 'tiny_elastic': .*blocks\.5\.expand"
    ):
        loaded(backbone__blocks__5__expand__weight=block)
    with pytest.raises(InputError, match=r"another network than 'tiny_elastic': .*blocks\.0\.conv"):
        loaded(backbone__blocks__0__conv__weight=block)
    with pytest.raises(InputError, match=r'backbone\.stem\.0\.weight.* \(8, 3, 3, 3\)'):
        loaded(backbone__stem__0__weight=torch.zeros(8, 3, 3, 3))
    with pytest.raises(InputError, match=r'backbone\.blocks\.0\.expand\.weight.* \(32, 4, 1, 1\)'):
        loaded(backbone__blocks__0__expand__weight=torch.zeros(32, 4, 1, 1))


def test_what_a_model_hands_over_is_the_subnet(supernet):
    model = nn.Module()
    model.backbone, model.head = supernet, nn.Linear(20, 2)
    arch = arch_of(ARCHS[1])
    state = subnet_state_dict(model, arch)
    subnet = TinyElastic(arch=arch, out_indices=STAGES)
    assert [*state] == [
        *(f'backbone.{key}' for key in subnet.state_dict()),
        'head.weight',
        'head.bias',
    ]
    assert not subnet.beyond_subnet(state, 'backbone.')
    whole = {f'backbone.{key}': value for key, value in supernet.state_dict().items()}
    beyond = subnet.beyond_subnet(whole, 'backbone.')
    assert 'backbone.blocks.0.expand.weight' in beyond and 'backbone.stem.0.weight' not in beyond


def test_only_the_part_that_runs_gathers_statistics(supernet, images):
    before = {key: value.clone() for key, value in supernet.state_dict().items()}
    supernet.train().set_arch(arch_of('0 01 11 2 11 11 11'))
    supernet(images)
    norm = supernet.blocks[0].norm1
    assert (norm.running_mean[:8] != before['blocks.0.norm1.running_mean'][:8]).all()
    assert (norm.running_mean[8:] == before['blocks.0.norm1.running_mean'][8:]).all()
    assert norm.num_batches_tracked == before['blocks.0.norm1.num_batches_tracked'] + 1
    assert all(
        torch.equal(value, before[key])
        for key, value in supernet.state_dict().items()
        if key.startswith('blocks.1.')
    )


def test_layers_are_as_they_were_after_a_run_and_after_an_error(supernet, images):
    def sizes():
        return [
            (module.groups, module.padding, id(module.weight))
            for module in supernet.modules()
            if isinstance(module, nn.Conv2d)
        ]

    before = sizes()
    supernet.set_arch(TINY.smallest)
    supernet(images)
    assert sizes() == before
    supernet.blocks[0].act.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        supernet(images)
    assert sizes() == before


def test_archs_of_other_depth_share_their_first_blocks(supernet):
    """A part's output depends on whether blocks run, not on the depth as a number."""
    shallow, deep = arch_of('1 01 10 0 11 00 00'), arch_of('1 01 10 2 11 01 10')
    same = [supernet.prefix(part, shallow) == supernet.prefix(part, deep) for part in range(7)]
    assert same == [True] * 4 + [False] * 3
    # What does not run is not read.
    other = arch_of('1 01 10 0 11 11 11')
    assert supernet.prefix(6, shallow) == supernet.prefix(6, other)
    archs = [deep, shallow, other, arch_of('0 01 10 0 11 00 00'), arch_of('1 01 10 1 11 01 10')]
    archs.append(arch_of('1 00 10 1 11 01 10'))  # as a tuple between two that share a block
    ordered = supernet.in_shared_order(archs)
    for part in range(7):
        seen = [supernet.prefix(part, arch) for arch in ordered]
        runs = 1 + sum(a != b for a, b in zip(seen, seen[1:]))
        assert runs == len(set(seen))


def test_equal_networks_have_one_canonical_arch(supernet, images):
    rng = np.random.default_rng(0)
    supernet.eval()
    for _ in range(10):
        arch = TINY.sample(rng)
        canonical = TINY.canonical(arch)
        assert TINY.canonical(canonical) == canonical
        outs = []
        for chosen in (arch, canonical):
            supernet.set_arch(chosen)
            outs.append(supernet(images)[-1])
        assert torch.equal(*outs)


# Sorting.


@pytest.mark.parametrize('training', [True, False])
def test_sorted_channels_compute_the_same(supernet, images, training):
    supernet.double().train(training).set_arch(TINY.largest)
    images = images.double()
    before = [out.clone() for out in copy.deepcopy(supernet)(images)]
    supernet.sort_channels()
    for ours, theirs in zip(supernet(images), before):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    importance = supernet.blocks[3].project.weight.abs().sum(dim=(0, 2, 3))
    assert (importance.diff() <= 0).all() and importance[0] > importance[-1]


def test_sorting_keeps_the_channels_that_count(supernet):
    """By hand: a block with one reader keeps the columns of the largest L1 norm."""
    block = supernet.blocks[2]
    kept = block.project.weight.abs().sum(dim=(0, 2, 3)).topk(12).indices
    rows = {tuple(row) for row in block.expand.weight.flatten(1)[kept].tolist()}
    supernet.sort_channels()
    assert {tuple(row) for row in block.expand.weight.flatten(1)[:12].tolist()} == rows


def test_pretrained_channels_are_sorted_where_a_config_asks_for_it(supernet, saved):
    before = supernet.state_dict()
    supernet = copy.deepcopy(supernet)
    supernet.sort_channels()
    for sort, expected in ((False, before), (True, supernet.state_dict())):
        net = TinyElastic(sort_channels=sort, out_indices=STAGES, init_cfg=pretrained(saved))
        net.init_weights()
        state = net.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in expected.items())
    assert any(not torch.equal(value, state[key]) for key, value in before.items())
    # A subnet inherits from a supernet as it is.
    taken = subnet_of(saved, TINY.smallest, sort_channels=True).state_dict()
    assert torch.equal(taken['blocks.0.expand.weight'], before['blocks.0.expand.weight'][:8])


def test_a_subnet_cannot_be_sorted():
    with pytest.raises(InputError, match='sort_channels of TinyElastic: .* this is a subnet'):
        TinyElastic(arch=TINY.smallest).sort_channels()


# Learned kernels.


@pytest.fixture
def learned():
    """The supernet whose smaller kernels are made by matrices."""
    return randomise(TinyElastic(matrices=True, out_indices=STAGES))


def matrix_names(state):
    return [key for key in state if '5to3' in key]


def test_smaller_kernels_by_hand():
    """As in the published code: of each channel the centre of the next larger kernel, row by row,
    times the transposed matrix."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2, 1, 7, 7, generator=generator, dtype=torch.float64)
    matrices = {
        '5to3': torch.randn(9, 9, generator=generator, dtype=torch.float64),
        '7to5': torch.randn(25, 25, generator=generator, dtype=torch.float64),
    }
    for channel in range(2):
        five = (matrices['7to5'].numpy() @ weight[channel, 0, 1:6, 1:6].numpy().ravel()).reshape(
            5, 5
        )
        three = (matrices['5to3'].numpy() @ five[1:4, 1:4].ravel()).reshape(3, 3)
        for size, expected in ((5, five), (3, three)):
            found = smaller_kernel(weight, matrices, size)
            assert found.shape == (2, 1, size, size)
            np.testing.assert_allclose(found[channel, 0].numpy(), expected, rtol=1e-12)
    assert torch.equal(smaller_kernel(weight, matrices, 7), weight)
    # Not by the order of the names, in which 11to9 is before 9to7.
    matrices = KernelMatrices([3, 9, 11])
    matrices['11to9'].data *= 2
    assert {key: tuple(matrix.shape) for key, matrix in matrices.items()} == {
        '11to9': (81, 81), '9to3': (9, 9)
    }  # fmt: skip
    weight = torch.randn(2, 1, 11, 11, generator=generator)
    torch.testing.assert_close(smaller_kernel(weight, matrices, 3), 2 * weight[..., 4:7, 4:7])


def test_kernels_of_a_new_network_are_the_centres(supernet, learned, images):
    arch = arch_of(ARCHS[1])
    fresh = TinyElastic(matrices=True, out_indices=STAGES)
    assert len(matrix_names(fresh.state_dict())) == 5
    # The checkpoint of a network that has no matrices yet, loaded in every way.
    fresh.load_state_dict(supernet.state_dict())
    for net in (supernet, fresh):
        net.eval().set_arch(arch)
    for ours, theirs in zip(fresh(images), supernet(images), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    # It takes the place of what was learned before.
    learned.load_state_dict(supernet.state_dict())
    state = learned.state_dict()
    assert all(torch.equal(state[key], torch.eye(9)) for key in matrix_names(state))


@pytest.mark.parametrize('training', [True, False])
def test_learned_kernels_of_supernet_and_subnet_agree(learned, images, training):
    """Maps, and the gradients of the matrices and the whole kernels, by the chain rule."""
    arch = arch_of(ARCHS[1])
    subnet = TinyElastic(arch=arch, matrices=True, out_indices=STAGES)
    subnet.load_state_dict(learned.subnet_state(arch))
    assert not matrix_names(subnet.state_dict())
    learned.train(training).set_arch(arch)
    outs = learned(images), subnet.train(training)(images)
    for a, b in zip(*outs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    for maps in outs:
        sum(out.square().mean() for out in maps).backward()
    for index in range(5):
        if TINY.choice(index, arch) is None:
            continue
        whole = learned.blocks[index].depthwise
        matrix = whole.kernel_matrices['5to3']
        own = subnet.get_submodule(f'blocks.{index}').depthwise.weight
        if TINY.choice(index, arch)['kernel_size'] == 5:
            assert matrix.grad is None
            continue
        count = len(own)
        centres = whole.weight.detach()[:count, :, 1:4, 1:4].flatten(1)
        gradients = own.grad.flatten(1)
        torch.testing.assert_close(matrix.grad, gradients.t() @ centres, rtol=1e-4, atol=1e-5)
        expected = torch.zeros_like(whole.weight)
        expected[:count, :, 1:4, 1:4] = (gradients @ matrix.detach()).view(count, 1, 3, 3)
        torch.testing.assert_close(whole.weight.grad, expected, rtol=1e-4, atol=1e-5)


def test_a_subnet_takes_the_learned_kernel_and_keeps_it(learned, tmp_path):
    """By strict loading and by torch's; then from its own checkpoint, which has no matrix."""
    arch = arch_of('1 00 11 0 10 00 00')
    state = {f'backbone.{key}': value for key, value in learned.state_dict().items()}
    save_checkpoint(tmp_path / 'net.pth', state, {})
    kwargs = dict(arch=arch, matrices=True, init_cfg=pretrained(tmp_path / 'net.pth'))
    strict, plain, again = (TinyElastic(**kwargs) for _ in range(3))
    strict.init_weights()
    plain.load_state_dict(learned.state_dict(), strict=False)
    block = learned.blocks[0]
    expected = smaller_kernel(block.depthwise.weight[:8], block.depthwise.kernel_matrices, 3)
    centre = block.depthwise.weight[:8, :, 1:4, 1:4]
    assert not torch.allclose(expected, centre)
    for subnet in (strict, plain):
        assert torch.equal(subnet.blocks[0].depthwise.weight, expected)
        assert torch.equal(subnet.blocks[1].depthwise.weight, learned.blocks[1].depthwise.weight)
    own = strict.state_dict()
    save_checkpoint(tmp_path / 'net.pth', {f'backbone.{k}': v for k, v in own.items()}, {})
    again.init_weights()
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in own.items())
    # What only a supernet has.
    beyond = strict.beyond_subnet(state, 'backbone.')
    assert 'backbone.blocks.1.depthwise.kernel_matrices.5to3' in beyond
    assert not strict.beyond_subnet({f'backbone.{k}': v for k, v in own.items()}, 'backbone.')


def test_a_kernel_without_its_matrix_is_named(learned, tmp_path):
    name = 'blocks.0.depthwise.kernel_matrices.5to3'
    whole = {f'backbone.{key}': value for key, value in learned.state_dict().items()}
    less = {key: value for key, value in whole.items() if key != f'backbone.{name}'}
    kwargs = dict(matrices=True, init_cfg=pretrained(tmp_path / 'net.pth'))
    for state, found in (
        (less, 'missing'),
        (less | {f'backbone.{name}': torch.eye(3)}, r'\(3, 3\)'),
    ):
        save_checkpoint(tmp_path / 'net.pth', state, {})
        with pytest.raises(
            InputError,
            match=rf'net.pth: backbone.{name} is {found}, expected \(9, 9\): the matrix that makes '
            r'kernels of 3 out of the larger ones',
        ):
            TinyElastic(arch=TINY.smallest, **kwargs).init_weights()
        with pytest.raises(InputError, match=f'net.pth: does not fit this TinyElastic.*{name}'):
            TinyElastic(**kwargs).init_weights()


@pytest.mark.parametrize('theirs, ours', [('1 11 11 1 11 11 11', '0 11 11 1 11 11 11')])
def test_the_learned_kernels_of_another_subnet_are_refused(learned, tmp_path, theirs, ours):
    """Whether the checkpoint of the whole network has matrices or not, it is taken."""
    subnet = TinyElastic(
        arch=arch_of(ours), matrices=True, init_cfg=pretrained(tmp_path / 'net.pth')
    )
    whole = learned.state_dict()
    for state in (whole, {key: value for key, value in whole.items() if '5to3' not in key}):
        save_checkpoint(tmp_path / 'net.pth', {f'backbone.{k}': v for k, v in state.items()}, {})
        subnet.init_weights()
    state = learned.subnet_state(arch_of(theirs))
    save_checkpoint(tmp_path / 'net.pth', {f'backbone.{k}': v for k, v in state.items()}, {})
    with pytest.raises(InputError, match='the weights of another subnet than .*blocks.1'):
        subnet.init_weights()


@pytest.mark.parametrize('text', ['1 11 11 2 11 11 11', '1 10 10 2 10 10 10'])
def test_sorted_channels_compute_the_same_with_learned_kernels(learned, images, text):
    learned.double().eval().set_arch(arch_of(text))
    images = images.double()
    before = learned(images)
    matrices = {k: v.clone() for k, v in learned.state_dict().items() if '5to3' in k}
    learned.sort_channels()
    for ours, expected in zip(learned(images), before, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    state = learned.state_dict()
    assert all(torch.equal(state[key], value) for key, value in matrices.items())


def test_a_learned_kernel_is_made_in_full_precision(learned):
    """So that a supernet that is scored in half precision has the kernels of the subnet."""
    arch, seen = TINY.smallest, []
    learned.eval().set_arch(arch)
    for block in (learned.blocks[0],):
        block.depthwise.register_forward_pre_hook(lambda conv, _: seen.append(conv.weight))
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        learned(torch.zeros(2, 3, 8, 8))
    assert torch.equal(seen[0], learned.subnet_state(arch)['blocks.0.depthwise.weight'])


def test_while_costs_are_measured_kernels_have_their_size_alone(learned, images):
    learned.eval().set_arch(TINY.smallest)
    plain = TinyElastic(out_indices=STAGES).eval()
    plain.load_state_dict({k: v for k, v in learned.state_dict().items() if '5to3' not in k})
    plain.set_arch(TINY.smallest)
    before = learned(images)[-1]
    with pytest.raises(ZeroDivisionError), learned.costs_of_subnets():
        assert torch.equal(learned(images)[-1], plain(images)[-1])
        raise ZeroDivisionError
    assert torch.equal(learned(images)[-1], before) and not torch.equal(before, plain(images)[-1])


# Groups.


def test_channels_in_groups_are_cut_by_groups(images):
    group_norm = partial(nn.GroupNorm, 4)
    supernet = randomise(TinyElastic(groups=4, norm=group_norm, out_indices=STAGES))
    arch = arch_of(ARCHS[0])
    subnet = TinyElastic(groups=4, norm=group_norm, arch=arch, out_indices=STAGES)
    subnet.load_state_dict(supernet.subnet_state(arch))
    supernet.set_arch(arch)
    for ours, theirs in zip(supernet(images), subnet(images), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert subnet.blocks[0].depthwise.groups == 2 and subnet.blocks[0].norm1.num_groups == 2
    assert supernet.blocks[0].depthwise.groups == 4 and supernet.blocks[0].norm1.num_groups == 4
    before = copy.deepcopy(supernet.state_dict())
    supernet.sort_channels()  # which would take channels out of their groups
    assert all(torch.equal(value, before[key]) for key, value in supernet.state_dict().items())


@pytest.mark.parametrize(
    'norm', [nn.InstanceNorm2d, partial(nn.InstanceNorm2d, affine=True), LayerNorm2d]
)
def test_norms_may_be_of_any_kind(images, norm):
    supernet = TinyElastic(norm=norm, out_indices=STAGES)
    for arch in map(arch_of, ARCHS):
        supernet.set_arch(arch)
        subnet = TinyElastic(norm=norm, out_indices=STAGES, arch=arch)
        subnet.load_state_dict(supernet.subnet_state(arch))
        for ours, theirs in zip(supernet(images), subnet(images), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert str(supernet) == str(TinyElastic(norm=norm, out_indices=STAGES))


def test_a_width_within_a_group_is_refused():
    with pytest.raises(
        InputError,
        match=r"space 'tiny_elastic': width0.5 in slot 1 leaves 8 channels of blocks.0.norm1, "
        r'which has groups of 16: expected a multiple of 16, or groups of 8',
    ):
        TinyElastic(groups=1, norm=partial(nn.GroupNorm, 1))


# What every searchable backbone has.


def test_checkpointing_changes_no_gradient_and_no_statistic(saved, images):
    nets = {}
    for with_cp in (False, True):
        net = TinyElastic(with_cp=with_cp, out_indices=STAGES, init_cfg=pretrained(saved))
        net.init_weights()
        net.set_arch(arch_of(ARCHS[1]))
        net(images)[-1].square().sum().backward()
        nets[with_cp] = net
    for ours, theirs in zip(nets[False].parameters(), nets[True].parameters()):
        assert (ours.grad is None) == (theirs.grad is None)
        assert ours.grad is None or torch.equal(ours.grad, theirs.grad)
    state = nets[True].state_dict()
    assert all(torch.equal(value, state[key]) for key, value in nets[False].state_dict().items())


def test_frozen_stages():
    net = TinyElastic(frozen_stages=1).train()
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad == (not name.startswith(('stem', 'blocks.0', 'blocks.1')))
    assert not net.blocks[1].norm1.training and net.blocks[2].norm1.training
    # Of a subnet, too, where a block is gone.
    subnet = TinyElastic(arch=TINY.smallest, frozen_stages=3, frozen_norm_eval=False)
    assert not any(parameter.requires_grad for parameter in subnet.parameters())


def test_a_tail_that_nothing_reads_is_not_there(images):
    net = TinyElastic(out_indices=(0, 1))
    net.set_arch(TINY.largest)
    assert not any(name.startswith('tail') for name in net.state_dict())
    assert [tuple(out.shape) for out in net(images)] == [(3, 8, 12, 12), (3, 12, 6, 6)]
    assert net.out_channels == (8, 12) and TinyElastic(out_indices=STAGES).out_channels[-1] == 20


def test_zero_init_makes_residual_blocks_their_shortcut():
    net = TinyElastic()
    net.init_weights()
    assert [bool(block.norm3.weight.any()) for block in net.blocks] == [
        True,
        False,
        True,
        False,
        False,
    ]


def loss_of(net, images, gates=None):
    net.gates = gates
    return sum(out.pow(2).mean() * (index + 1) for index, out in enumerate(net(images)))


@pytest.mark.parametrize('text', ['1 10 01 1 11 10 00', '0 10 01 2 11 10 00'])
def test_gates_are_on_the_outputs_of_blocks_that_run_and_of_stages(supernet, images, text):
    supernet.double().train().set_arch(arch_of(text))
    images = images.double()
    gates = torch.ones(TINY.num_slots, dtype=torch.float64, requires_grad=True)
    gated = loss_of(supernet, images, gates)
    assert gated.item() == loss_of(supernet, images).item()
    gated.backward()
    depth, ends = {0: 1, 5: 4}, arch_of(text)
    for index in range(5):
        slots = TINY.own_slots(index)
        if TINY.choice(index, ends) is None:
            assert not gates.grad[list(slots)].any()
            continue
        assert gates.grad[slots[0]] == gates.grad[slots[1]] != 0
        losses = []
        for factor in (1 + 1e-6, 1 - 1e-6):
            hook = supernet.blocks[index].register_forward_hook(
                lambda module, inputs, out, factor=factor: out * factor
            )
            with torch.no_grad():
                losses.append(loss_of(supernet, images).item())
            hook.remove()
        expected = (losses[0] - losses[1]) / 2e-6
        assert gates.grad[slots[0]].item() == pytest.approx(expected, rel=1e-4, abs=1e-7)
    # The depth's is that of the last block that runs: its output is the stage's.
    for slot, last in depth.items():
        while TINY.choice(last, ends) is None:
            last -= 1
        assert gates.grad[slot].item() == pytest.approx(
            gates.grad[TINY.own_slots(last)[0]].item(), rel=1e-9
        )


def test_the_part_of_a_layer():
    assert LayerPart(2, 3, 3).index((8, 8, 5, 5)) == (slice(2), slice(3), slice(1, 4), slice(1, 4))
    assert LayerPart(outputs=2).index((8,)) == (slice(2),) and LayerPart(2).index(()) == ()


def test_paths_without_a_common_weight_are_refused(tiny):
    backbone = dict(type='TinyElastic')
    message = 'learns from two paths that share no weights, but the candidates of TinyElastic'
    with pytest.raises(
        InputError,
        match=f'PiNAS {message} share all of them: expected SandwichStrategy, '
        r'FairStrategy or ArchSamplingHook \(uniform\)',
    ):
        PiNAS(backbone, **{k: tiny.pinas()[k] for k in ('neck', 'head', 'queue_len', 'feat_dim')})


def test_text_of_an_arch_is_read_back():
    for text in ARCHS:
        arch = arch_of(text)
        assert TINY.decode(TINY.encode(arch)) == arch
        assert re.fullmatch(r'\d{12}', TINY.encode(arch))


# Whether the running statistics of BN are those of the arch that runs.


def trained(net, images, *archs):
    """After a batch along each arch, in eval mode."""
    net.train()
    for arch in archs:
        net.set_arch(arch)
        net(images)
    return net.eval()


def test_a_network_that_nobody_trained_along_archs_has_the_right_statistics(images, bn_warnings):
    net = trained(TinyElastic(), images, TINY.largest, TINY.largest)
    for arch in (TINY.largest, arch_of('1 11 11 2 11 11 10')):
        assert not bn_warnings
        net.set_arch(arch)
        net(images)
    assert len(bn_warnings) == 1 and bn_warnings[0].startswith('TinyElastic is a supernet')


def test_statistics_of_several_archs_are_not_those_of_the_largest(images, bn_warnings):
    """As the sandwich rule leaves them."""
    net = trained(TinyElastic(), images, TINY.largest, TINY.smallest)
    net.set_arch(TINY.largest)
    net(images)
    assert len(bn_warnings) == 1


@pytest.mark.parametrize(
    'kwargs, warns',
    [
        (dict(norm_eval=True), True),
        (dict(frozen_stages=1), True),
        (dict(frozen_stages=0), False),  # the stem is every arch's
        (dict(frozen_stages=2, frozen_norm_eval=False), False),
        (dict(norm_eval=True, arch=TINY.smallest), False),
        (dict(frozen_stages=2, groups=4, norm=partial(nn.GroupNorm, 4)), True),  # norm3 is BN
    ],
)
def test_training_by_statistics_of_no_arch_is_told_once(images, bn_warnings, kwargs, warns):
    net = TinyElastic(**kwargs)
    for _ in range(2):
        net.train().set_arch(TINY.smallest)
        net(images)
        net.train(False)
    assert len(bn_warnings) == warns
    if warns:
        assert 'norm_eval=False and frozen_norm_eval=False' in bn_warnings[0]


# What does not fit together is said when it is built.


@dataclass
class Wrong:
    """What a subclass says of its blocks, in place of what fits."""

    inner: tuple = (InnerChannels(('expand', 'norm1', 'depthwise', 'norm2'), ('project',)),)
    kernels: tuple = ('depthwise',)
    name: str = 'blocks.{}'
    change: Callable = lambda block: None


def wrong(said):
    class Own(TinyElastic):
        def build_network(self):
            network = super().build_network()
            for block in network.blocks:
                said.change(block)
            return network

        def block(self, index):
            return ElasticBlock(said.name.format(index), said.inner, said.kernels)

    return Own


def set_padding(block, mode='zeros', **kwargs):
    old = block.depthwise
    block.depthwise = nn.Conv2d(
        old.in_channels, old.out_channels, 5, groups=old.groups, padding_mode=mode, **kwargs
    )


@pytest.mark.parametrize(
    'said, message',
    [
        (dict(name='block.{}'), "block 0 of Own: its network has no 'block.0'"),
        (
            dict(inner=(InnerChannels(('expnd',), ('project',)),)),
            "block 0 of Own: its network has no 'blocks.0.expnd'",
        ),
        (dict(kernels=('middle',)), "block 0 of Own: its network has no 'blocks.0.middle'"),
        (
            dict(inner=()),
            "slot 1 of space 'tiny_elastic' chooses a width, but block 0 of Own has no inner ch",
        ),
        (
            dict(kernels=()),
            "slot 2 of space 'tiny_elastic' chooses a kernel_size, but block 0 of Own has no ker",
        ),
        (
            dict(kernels=('expand',)),
            'blocks.0.expand: its kernel is 1x1, expected that of the largest candidate of slot',
        ),
        (
            dict(change=partial(set_padding, padding=0)),
            'blocks.0.depthwise: with padding=0, kernel3 of slot 2 gives a larger map than the '
            'whole kernel; expected padding=1 or more',
        ),
        (dict(change=partial(set_padding, padding='valid')), 'with padding=0, kernel3 of slot 2'),
        (
            dict(change=partial(set_padding, padding=2, mode='reflect')),
            "blocks.0.depthwise: padding_mode='reflect' does not follow the size of its kernel, "
            "expected 'zeros'",
        ),
        (
            dict(change=lambda block: setattr(block, 'with_cp', True)),
            'blocks.0 has with_cp=True: it would run again with whole weights, expected with_cp o',
        ),
        (
            dict(inner=(InnerChannels(('act', 'expand'), ('project',)),)),
            'blocks.0.act: a width cannot cut what a ReLU writes, expected a convolution, a linear',
        ),
        (
            dict(change=lambda block: setattr(block, 'expand', nn.ConvTranspose2d(4, 16, 1))),
            'blocks.0.expand: a width cannot cut what a ConvTranspose2d writes',
        ),
        (
            dict(change=lambda block: setattr(block, 'project', nn.Conv2d(16, 8, 1, groups=2))),
            'blocks.0.project: a width cannot cut what a Conv2d reads, expected a linear layer or '
            'an ungrouped convolution',
        ),
        (
            dict(change=lambda block: block.depthwise.add_module('offsets', nn.Conv2d(16, 18, 1))),
            'blocks.0.depthwise: a width cannot cut what a Conv2d writes',
        ),
        (
            dict(inner=(InnerChannels(('expand', 'project'), ('project',)),)),
            'blocks.0.project writes 8 channels, expected 16 as blocks.0.expand writes',
        ),
        (
            dict(inner=(InnerChannels(('expand',), ('expand',)),)),
            'blocks.0.expand reads 4 channels, expected 16 as blocks.0.expand writes',
        ),
    ],
)
def test_a_network_that_does_not_fit_its_space_is_named(said, message):
    with pytest.raises(InputError, match=message):
        wrong(Wrong(**said))()


def with_part(network, name, part):
    *path, name = name.split('.')
    parent = network.get_submodule('.'.join(path))
    parent.register_parameter(name, part) if isinstance(part, nn.Parameter) else (
        parent.add_module(name, part)
    )


@pytest.mark.parametrize(
    'name, part',
    [
        ('between', nn.BatchNorm2d(4)),
        ('between', nn.ReLU()),  # without it the largest arch would be another network
        ('scale', nn.Parameter(torch.ones(1))),
        ('blocks.5', nn.Conv2d(12, 12, 1)),
        ('blocks.scale', nn.Parameter(torch.ones(1))),
        ('others', nn.Sequential(nn.ReLU())),
        ('nothing', nn.Sequential(nn.Identity())),
    ],
)
def test_a_part_of_the_network_that_no_arch_runs_is_named(name, part):
    class Own(TinyElastic):
        def build_network(self):
            network = super().build_network()
            with_part(network, name, part)
            return network

    if name == 'nothing':
        assert Own().nothing is part
        return
    with pytest.raises(
        InputError,
        match=rf"Own: its network has '{name}(\.0)?', which no arch runs: expected it in",
    ):
        Own()


@pytest.mark.parametrize(
    'names, message',
    [
        (
            dict(stem_names=('stm',)),
            r"stem_names=\('stm',\) of Own: its network has no 'stm', expected one of \['stem'",
        ),
        (
            dict(tail_names=()),
            r"tail_names=\(\) of Own, but space 'tiny_elastic' has tail_channels=20: expected both",
        ),
    ],
)
def test_stem_and_tail_are_children_of_the_network(names, message):
    with pytest.raises(InputError, match=message):
        type('Own', (TinyElastic,), names)()


def test_a_supernet_is_not_traced_but_its_subnet(supernet, images):
    supernet.eval().set_arch(TINY.smallest)
    message = f"is a supernet, .* trace the subnet that arch='{TINY.encode(TINY.smallest)}' builds"
    with pytest.raises(RuntimeError, match=message):
        torch.jit.trace(supernet, images)
    subnet = TinyElastic(arch=TINY.smallest, out_indices=STAGES).eval()
    traced = torch.jit.trace(subnet, images)
    assert all(map(torch.equal, traced(images), subnet(images)))


@pytest.mark.parametrize('padding', ['same', 1])
def test_padding_that_follows_the_kernel_fits(padding, images):
    def change(block):
        set_padding(block, padding=padding)
        block.shortcut = False

    net = wrong(Wrong(change=change))(out_indices=(0,))
    shapes = set()
    for arch in (TINY.smallest, TINY.largest):
        net.set_arch(arch)
        shapes.add(net(images)[0].shape[-2:])
    # Of 24 pixels a kernel of 5 that pads by 1 takes 2 at every block; the smallest has one block.
    assert shapes == ({(24, 24)} if padding == 'same' else {(22, 22), (20, 20)})


class Weights(TorchFunctionMode):
    """Notes whether the weights that convolutions run with lie as their own tensors do."""

    def __init__(self):
        super().__init__()
        self.contiguous = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in (nn.functional.conv2d, torch.conv2d):
            self.contiguous.append(args[1].is_contiguous())
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize('text', ARCHS)
def test_while_time_counts_a_supernet_runs_what_its_subnets_run(saved, supernet, images, text):
    arch = arch_of(text)
    supernet.eval().set_arch(arch)
    with torch.no_grad():
        with Weights() as sliced:
            supernet(images)
        with supernet.runs_as_subnets(), Weights() as own:
            found = supernet(images)
        expected = subnet_of(saved, arch).eval()(images)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert all(own.contiguous) and not all(sliced.contiguous)
    assert supernet.run(0, arch, supernet.stem(images)).requires_grad  # its own weights again
