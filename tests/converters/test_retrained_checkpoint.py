import pytest
import torch

from pinas_mm.converters.retrained_checkpoint import convert_retrained, is_retrained
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableResNeSt

ARCH = (3, 3, 3, 3, 1, 1, 3, 3, 3, 0, 0, 1, 1, 0, 2, 1)


@pytest.fixture(scope='module')
def subnet():
    torch.manual_seed(0)
    return SearchableResNeSt(ARCH, widen_factor=0.25)


@pytest.mark.slow
@pytest.mark.parametrize(
    'layout',
    [
        dict(),
        dict(prefix='module.'),
        dict(prefix='backbone.'),
        dict(prefix='module.backbone.'),
        dict(prefix='backbone.bottom_up.', stem='stem.', stage_name='res', first=2),
    ],
)
def test_every_published_layout_gives_the_subnet_and_its_arch(subnet, published_names, layout):
    state = published_names(subnet, **layout)
    assert is_retrained(state)
    converted, arch, widen_factor, others = convert_retrained(state)
    assert (arch, widen_factor, others) == (ARCH, 0.25, [])
    expected = {f'backbone.{key}': value for key, value in subnet.state_dict().items()}
    assert converted.keys() == expected.keys() and all(
        torch.equal(converted[key], value) for key, value in expected.items()
    )


def test_a_classifier_is_kept_and_the_rest_of_a_detector_is_named(subnet, published_names):
    state = published_names(subnet) | {'fc.weight': torch.ones(5, 512), 'fc.bias': torch.ones(5)}
    converted, *_ = convert_retrained(state)
    assert converted['head.fc.weight'].shape == (5, 512) and converted['head.fc.bias'].shape == (5,)
    detector = published_names(subnet, 'backbone.bottom_up.', 'stem.', 'res', 2)
    detector = {
        key: value for key, value in detector.items() if not key.endswith('num_batches_tracked')
    }
    converted, _, _, others = convert_retrained(
        detector | {'backbone.fpn_lateral2.weight': torch.zeros(1)}
    )
    assert others == ['backbone.fpn_lateral2.weight']
    assert converted.keys() == {f'backbone.{key}' for key in subnet.state_dict()}


@pytest.mark.slow
def test_unknown_and_missing_keys_and_foreign_shapes_are_listed(subnet, published_names):
    state = published_names(subnet)
    extra = state | {
        'layer1.3.conv1.weight': torch.zeros(1),
        'layer2.0.se.weight': torch.zeros(1),
        'ema': torch.zeros(1),
    }
    with pytest.raises(
        InputError, match=r'x.pth: .*layer1.3.conv1.weight, ema, layers.3.3.se.weight \(1,\)$'
    ):
        convert_retrained(extra, 'x.pth')
    lacking = {
        key: value for key, value in state.items() if key not in ('layer3.2.bn3.weight', 'bn1.bias')
    }
    with pytest.raises(
        InputError, match='missing: backbone.layers.9.0.bn3.weight, backbone.stem.7.bias$'
    ):
        convert_retrained(lacking)
    wide = state | {'layer4.2.conv3.weight': torch.zeros(512, 33, 1, 1)}
    with pytest.raises(
        InputError, match=r'unknown keys or shapes: layers.15.1.conv3.weight \(512, 33, 1, 1\)$'
    ):
        convert_retrained(wide)
    stem = state | {
        'conv1.0.bias': torch.zeros(8),
        'conv1.3.weight': torch.zeros(9, 8, 3, 3),
        'bn1.momentum': torch.zeros(1),
    }
    listed = (
        r'unknown keys or shapes: backbone.stem.3.weight \(9, 8, 3, 3\), '
        r'backbone.stem.0.bias \(8,\), backbone.stem.7.momentum \(1,\)$'
    )
    with pytest.raises(InputError, match=listed):
        convert_retrained(stem)
    with pytest.raises(InputError, match="x.pth: no key 'conv1.0.weight'"):
        convert_retrained({'layer1.0.conv1.weight': torch.zeros(1)}, 'x.pth')


def test_a_tensor_under_two_names_is_listed(subnet, published_names):
    """Neither is the one to drop."""
    twice = published_names(subnet, 'backbone.bottom_up.', 'stem.', 'res', 2)
    twice |= {
        'backbone.bottom_up.bn1.bias': torch.zeros(16),
        'backbone.bottom_up.layer1.0.bn3.bias': torch.zeros(64),
    }
    with pytest.raises(
        InputError,
        match=r'up.bn1.bias \(a second name of the same tensor\), .*layer1.0.bn3.bias \(a second '
        r'name',
    ):
        convert_retrained(twice)


def test_a_supernet_is_not_a_retrained_backbone():
    assert not is_retrained(
        {
            'module.encoder_q.0.layer2.0.3.conv1.weight': torch.zeros(1),
            'conv1.0.weight': torch.zeros(1),
        }
    )
