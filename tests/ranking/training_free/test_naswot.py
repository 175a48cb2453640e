import copy

import numpy as np
import pytest
import torch
from tiny_chain import tiny_net
from torch import nn

from pinas_mm.models.backbones import SearchableMacroNet, SearchableNASBench201
from pinas_mm.ranking.training_free import freshly_initialised, training_free_scores
from pinas_mm.ranking.training_free.naswot import naswot


def test_naswot_by_brute_force():
    fresh, images = freshly_initialised(tiny_net(), 0), torch.randn(6, 3, 4, 4)
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


def test_its_name_gives_it():
    backbone, images = tiny_net(), torch.randn(6, 3, 4, 4)
    found = training_free_scores(backbone, [(1, 1), (0, 2)], images, ['naswot'], seed=5)
    expected = naswot(freshly_initialised(backbone, 5), (1, 1), images)
    assert found['naswot'].tolist() == [expected, -np.inf]


def test_it_does_not_warn_of_running_statistics(bn_warnings):
    backbone = SearchableMacroNet(widen_factor=0.125)
    naswot(freshly_initialised(backbone, 0), (1,) * 8, torch.randn(4, 3, 8, 8))
    assert not bn_warnings
