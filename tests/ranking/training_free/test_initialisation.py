import pytest
import torch
from tiny_chain import TinyNet, TinyTanhNet, tiny_net
from tiny_elastic import TinyElastic
from torch import nn

from pinas_mm.models.backbones import SearchableMacroNet, SearchableShuffleNetV2
from pinas_mm.ranking.training_free.initialisation import activations, freshly_initialised


def test_a_fresh_copy_has_the_weights_of_its_seed_and_trains():
    backbone = SearchableMacroNet(widen_factor=0.125, frozen_stages=4, norm_eval=True)
    backbone.init_weights()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    state = torch.random.get_rng_state()
    first, again, other = (freshly_initialised(backbone, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first['stem.0.weight'], other['stem.0.weight'])
    fresh = freshly_initialised(backbone, 0)
    assert all(module.training for module in fresh.modules())
    assert all(parameter.requires_grad for parameter in fresh.parameters())
    assert all(bool((norm.weight == 1).all()) for norm in fresh.residual_norms())


def test_learned_kernels_of_a_fresh_copy_are_the_centres():
    backbone = TinyElastic(matrices=True)
    backbone.blocks[0].depthwise.kernel_matrices['5to3'].data.fill_(0.5)
    fresh = freshly_initialised(backbone, 0)
    assert torch.equal(fresh.blocks[0].depthwise.kernel_matrices['5to3'], torch.eye(9))


def test_weights_can_be_drawn_otherwise():
    backbone = SearchableMacroNet(widen_factor=0.5)
    backbone.stem[0] = nn.Conv2d(3, 16, 3, padding=1)  # with a bias
    fresh = freshly_initialised(backbone, 0, lambda weight: nn.init.normal_(weight, 2.0, 0.1))
    assert fresh.tail[0].weight.mean().item() == pytest.approx(2, abs=0.01)
    assert not fresh.stem[0].bias.any() and bool((fresh.tail[1].weight == 1).all())


def test_activations_are_found():
    assert [type(module) for module in activations(tiny_net())] == [nn.ReLU6] * 2
    assert not activations(TinyTanhNet())
    assert activations(SearchableShuffleNetV2(widen_factor=0.25))
    assert activations(TinyNet(arch=[0, 0])) == []


def test_sync_bn_is_local_since_ranks_score_different_archs(monkeypatch):
    """In a process group SyncBN would wait for the other ranks, on a CPU it refuses to."""
    images = torch.randn(4, 3, 8, 8)
    plain, synced = (
        freshly_initialised(SearchableMacroNet(widen_factor=0.125, norm_cfg=dict(type=kind)), 0)
        for kind in ('BN', 'SyncBN')
    )
    for network in (plain, synced):
        network.set_arch((1,) * 8)
    expected = plain(images)[-1]
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    torch.testing.assert_close(synced(images)[-1], expected)
