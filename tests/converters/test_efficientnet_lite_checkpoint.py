import pytest
import torch
from published_lite0 import by_hand, published_lite0

from pinas_mm.converters.efficientnet_lite_checkpoint import (
    convert_efficientnet_lite,
    is_efficientnet_lite,
)
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import ElasticEfficientNetLite0


@pytest.fixture(scope='module')
def published():
    return published_lite0()


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_the_largest_arch_is_the_published_network(published, prefix):
    """At every stage and at the head, on even and odd sizes; the classifier is kept."""
    state = {f'{prefix}{key}': value for key, value in published.items()}
    assert is_efficientnet_lite(state)
    converted = convert_efficientnet_lite(state)
    assert len(converted) == len(published)
    assert torch.equal(converted['head.fc.weight'], published['_fc.weight'])
    net = ElasticEfficientNetLite0(out_indices=tuple(range(8))).eval()
    net.load_state_dict(
        {
            key.removeprefix('backbone.'): value
            for key, value in converted.items()
            if key.startswith('backbone.')
        }
    )
    net.set_arch(net.space.largest)
    images = torch.randn(1, 3, 50, 37, generator=torch.Generator().manual_seed(0))
    for ours, expected in zip(net(images), by_hand(published, images), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_without_a_classifier(published):
    features = {key: value for key, value in published.items() if not key.startswith('_fc')}
    assert convert_efficientnet_lite(features).keys() == {
        f'backbone.{key}' for key in ElasticEfficientNetLite0().state_dict()
    }


def test_another_networks_tensors_are_named(published):
    """EfficientNet-B0 has squeeze-and-excitation, larger Lites have more blocks."""
    for extra in ('_blocks.3._se_reduce.weight', '_blocks.16._bn1.bias', '_other.weight', 'fc'):
        with pytest.raises(
            InputError, match=rf'x.pth: .* 1 tensors it does not have, such as {extra} \(5,\)$'
        ):
            convert_efficientnet_lite(published | {extra: torch.zeros(5)}, 'x.pth')
    wide = published | {'_blocks.3._bn1.bias': torch.zeros(150)}
    with pytest.raises(
        InputError,
        match=r'1 tensors it does not have, such as _blocks.3._bn1.bias \(150,\); 1 tensors are '
        r'missing, such as backbone.layer3.0.depthwise_conv.bn.bias',
    ):
        convert_efficientnet_lite(wide)
    assert not is_efficientnet_lite({'conv1.0.weight': torch.zeros(1)})
