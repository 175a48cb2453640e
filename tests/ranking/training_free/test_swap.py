import pytest
import torch
from tiny_chain import tiny_net
from torch import nn

from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.ranking.training_free import freshly_initialised
from pinas_mm.ranking.training_free.swap import Swap


@pytest.mark.parametrize('count', [3, 20])
def test_patterns_are_counted_by_a_set(count):
    torch.manual_seed(1)
    images = torch.randn(count, 3, 4, 4)
    score = Swap(tiny_net(), images, seed=2)
    fresh, images = score.network, images[:16]
    x = nn.functional.conv2d(images, fresh.stem.weight)
    first = nn.functional.batch_norm(x, None, None, training=True)
    conv = fresh.layers[0]['1'][2].weight
    second = nn.functional.batch_norm(
        nn.functional.conv2d(first.clamp(0, 6), conv), None, None, training=True
    )
    for arch, layers in (((1, 1), [first, second]), ((1, 0), [first]), ((0, 0), [])):
        patterns = {
            tuple(image[unit] > 0 for image in layer.flatten(1).tolist())
            for layer in layers
            for unit in range(layer[0].numel())
        }
        assert score(arch) == dict(swap=len(patterns))


def test_weights_have_unit_variance():
    weight = Swap(SearchableMacroNet(), torch.zeros(1, 3, 8, 8)).network.tail[0].weight
    assert weight.std().item() == pytest.approx(1, rel=0.01)
    assert not torch.equal(weight, freshly_initialised(SearchableMacroNet(), 0).tail[0].weight)
