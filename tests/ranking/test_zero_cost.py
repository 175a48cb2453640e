import copy

import numpy as np
import pytest
import torch
from torch import nn

from pinas_mm.costs import measure_costs
from pinas_mm.models.backbones import (
    SearchableBackbone,
    SearchableMacroNet,
    SearchableNASBench201,
    SearchableResNeSt,
    SearchableShuffleNetV2,
)
from pinas_mm.ranking.zero_cost import (
    depth,
    freshly_initialised,
    linearised,
    naswot,
    synflow,
    zero_cost_scores,
)
from pinas_mm.spaces import Candidate, SearchSpace, chain

CHOICES = (
    Candidate('identity', dict(kind='identity')),
    Candidate('conv', dict(kind='conv')),
    Candidate('none', dict(kind='none')),
)


class TinyNet(SearchableBackbone):
    """A 1x1 convolution, then two positions: identity, BN-ReLU6-convolution, or nothing at all."""

    space = SearchSpace('tiny', (CHOICES,) * 2, chain((2,), (2,), (1,), 2), 2)

    def build_stem(self):
        return self.conv(3, 2)

    def build_candidate(self, position, candidate):
        if candidate.block['kind'] == 'conv':
            return nn.Sequential(self.norm(2), nn.ReLU6(inplace=True), self.conv(2, 2))
        return nn.Identity() if candidate.block['kind'] == 'identity' else Nothing()

    def residual_norms(self):
        return iter(())


class Nothing(nn.Module):
    def forward(self, x):
        return 0 * x


@pytest.fixture
def net():
    torch.manual_seed(0)
    return TinyNet()


def test_synflow_of_a_linear_network_by_hand(net):
    """Every weight matrix is once in the product R, so its weights times their gradients sum to
    R."""
    linear = linearised(freshly_initialised(net, 3))
    stem, first, second = (
        abs(module.weight.detach().numpy()[:, :, 0, 0])
        for module in (linear.stem, linear.layers[0]['1'][2], linear.layers[1]['1'][2])
    )
    ones, pixels = np.ones(3), 4 * 5
    for arch, matrices in (
        ((0, 0), [stem]),
        ((1, 0), [first, stem]),
        ((0, 1), [second, stem]),
        ((1, 1), [second, first, stem]),
    ):
        out = (
            np.linalg.multi_dot([*matrices, ones]) if len(matrices) > 1 else stem @ ones
        ).sum() * pixels
        assert np.exp(synflow(linear, arch, (4, 5))) == pytest.approx(len(matrices) * out, rel=1e-4)


def test_synflow_of_a_network_with_shortcuts_is_what_scaling_its_weights_changes():
    """The sum of θ ∂R/∂θ over a layer is dR/ds for that layer scaled by s."""
    arch = (1, 2, 0, 1, 1, 0, 2, 2)
    linear = linearised(freshly_initialised(SearchableMacroNet(widen_factor=0.125), 0))
    linear.set_arch(arch)
    images = torch.ones(1, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(linear(6 * images)[0], 6 * linear(images)[0]), (
            'not clipped, no bias: linear'
        )
        flow, step = 0.0, 1e-6
        for module in [
            module
            for part in linear.path(arch)
            for module in part.modules()
            if isinstance(module, nn.Conv2d)
        ]:
            outputs = []
            for scale in (1 + step, (1 - step) / (1 + step)):
                module.weight.mul_(scale)
                outputs.append(float(linear(images)[0].sum()))
            module.weight.div_(1 - step)
            flow += (outputs[0] - outputs[1]) / (2 * step)
    assert synflow(linear, arch, (8, 8)) == pytest.approx(np.log(flow), rel=1e-6)


def test_naswot_by_brute_force(net):
    fresh, images = freshly_initialised(net, 0), torch.randn(6, 3, 4, 4)
    stem, conv = fresh.stem.weight.detach(), fresh.layers[0]['1'][2].weight.detach()
    x = nn.functional.conv2d(images, stem)
    first = nn.functional.batch_norm(x, None, None, training=True)
    second = nn.functional.batch_norm(
        nn.functional.conv2d(first.clamp(0, 6), conv), None, None, training=True
    )
    codes = torch.cat([(first > 0).flatten(1), (second > 0).flatten(1)], dim=1).numpy()
    kernel = [[sum(int(a == b) for a, b in zip(one, other)) for other in codes] for one in codes]
    assert naswot(fresh, (1, 1), images) == pytest.approx(np.log(np.linalg.det(kernel)), rel=1e-4)


class PublishedZero(nn.Module):
    """``none`` in the published network of NAS-Bench-201: a gradient of zeros passes it."""

    def forward(self, x):
        return x.mul(0.0)


def naswot_by_published_hooks(network, images):
    """The rule of Mellor et al.'s ``score_networks.py``, of ReLUs alone: those count that a
    backward pass of the outputs came by, with what a second forward pass gives them."""
    kernel, visited = np.zeros((len(images),) * 2), set()

    def count(module, inputs):
        if module in visited:
            active = (inputs[0].flatten(1) > 0).double().numpy()
            kernel[:] += active @ active.T + (1 - active) @ (1 - active).T

    def watch(module, inputs, output):
        if output.requires_grad:
            output.register_hook(lambda gradient: visited.add(module))

    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(count)
            module.register_forward_hook(watch)
    network(images)[0].sum().backward()
    with torch.no_grad():
        network(images)
    return np.linalg.slogdet(kernel)[1]


def test_naswot_of_cells_is_that_of_the_published_hooks_on_the_published_network():
    """On 40 random cells. Edges that lead nowhere count there too: their gradient is zero and not
    missing, as it would be in our network."""
    fresh = freshly_initialised(SearchableNASBench201(widen_factor=0.25), 0)
    published = copy.deepcopy(fresh)
    for position in published.layers:
        for edge in position.children():
            if isinstance(edge, nn.ModuleDict):
                edge['0'] = PublishedZero()
    torch.manual_seed(0)
    images, rng = torch.randn(8, 3, 8, 8), np.random.default_rng(0)
    missing = 0
    for arch in [fresh.space.sample(rng) for _ in range(40)]:
        found = []
        for network in map(copy.deepcopy, (published, fresh)):
            network.set_arch(arch)
            found.append(naswot_by_published_hooks(network, images))
        assert naswot(fresh, arch, images) == pytest.approx(found[0], rel=1e-9)
        missing += found[1] < found[0] - 1e-6
    assert missing > 5


def test_scores_are_those_of_fresh_weights_and_leave_the_supernet_alone():
    archs = [(1, 0, 2, 0, 0, 1, 0, 0), (2,) * 8, (0,) * 8]
    images = torch.randn(4, 3, 8, 8)

    def scores(backbone, repeats=1):
        return zero_cost_scores(backbone, archs, measure_costs(backbone, 8), images, repeats)

    trained = SearchableMacroNet(widen_factor=0.125)
    trained.init_weights()
    for parameter in trained.parameters():
        parameter.data.uniform_(-1, 1)
    trained.set_arch(archs[1])
    before = {key: value.clone() for key, value in trained.state_dict().items()}
    random_state = torch.random.get_rng_state()
    found = scores(trained)
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert trained.arch == archs[1] and trained.training
    assert all(torch.equal(value, before[key]) for key, value in trained.state_dict().items())
    assert list(found) == ['macs', 'params', 'depth', 'synflow', 'naswot']
    assert found['depth'].tolist() == [3, 8, 0]
    for name, values in scores(SearchableMacroNet(widen_factor=0.125, frozen_stages=4)).items():
        np.testing.assert_array_equal(values, found[name], err_msg=f'{name} depends on the weights')
    twice = scores(trained, repeats=2)
    assert all(
        np.isfinite(twice[name]).all() and (twice[name] != found[name]).any()
        for name in ('synflow', 'naswot')
    )


def test_networks_that_are_scored_at_their_start_do_not_warn_of_their_statistics(bn_warnings):
    backbone = SearchableMacroNet(widen_factor=0.125)
    naswot(freshly_initialised(backbone, 0), (1,) * 8, torch.randn(4, 3, 8, 8))
    synflow(linearised(freshly_initialised(backbone, 0)), (1,) * 8, (8, 8))
    assert not bn_warnings


def test_a_network_through_which_nothing_flows_is_last(net):
    archs = [(0, 0), (2, 1), (1, 1)]
    found = zero_cost_scores(net, archs, measure_costs(net, 4), torch.randn(3, 3, 4, 4))
    for name in ('synflow', 'naswot'):
        assert np.isfinite(found[name]).all() and found[name][1] < found[name][2]


def test_other_spaces_have_depths_too():
    assert depth(SearchableResNeSt.space, [(0, 1, 2, 3) * 4, (0,) * 16]).tolist() == [16, 16]
    assert depth(SearchableShuffleNetV2.space, [(0, 1, 2, 3) * 5]).tolist() == [20]


@pytest.mark.parametrize('channels', [1, 4])
def test_networks_that_read_other_channels_than_three_are_scored(channels):
    backbone = SearchableMacroNet(widen_factor=0.125, in_channels=channels)
    images = torch.randn(4, channels, 8, 8)
    found = zero_cost_scores(backbone, [(1,) * 8], measure_costs(backbone, 8), images)
    assert all(np.isfinite(values).all() for values in found.values())
