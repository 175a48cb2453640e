import numpy as np
import pytest
import torch
from tiny_chain import tiny_net
from torch import nn

from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.ranking.training_free import freshly_initialised, training_free_scores
from pinas_mm.ranking.training_free.synflow import linearised, synflow


def test_synflow_of_a_linear_network_by_hand():
    """Every weight matrix is once in the product R, so its weights times their gradients sum to
    R."""
    linear = linearised(freshly_initialised(tiny_net(), 3))
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


def test_its_name_gives_it():
    backbone, archs = tiny_net(), [(1, 0), (2, 1)]
    linear = linearised(freshly_initialised(backbone, 5))
    found = training_free_scores(backbone, archs, torch.randn(2, 3, 4, 6), ['synflow'], seed=5)
    assert found['synflow'].tolist() == [synflow(linear, archs[0], (4, 6)), -np.inf]


def test_it_does_not_warn_of_running_statistics(bn_warnings):
    backbone = SearchableMacroNet(widen_factor=0.125)
    synflow(linearised(freshly_initialised(backbone, 0)), (1,) * 8, (8, 8))
    assert not bn_warnings
