import pytest
import torch
from once_for_all import published

from pinas_mm.converters.once_for_all_checkpoint import convert_once_for_all, is_once_for_all
from pinas_mm.converters.retrained_checkpoint import is_retrained
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import ElasticMobileNetV3


def test_every_tensor_gets_a_name_of_ours():
    state = published()
    converted, widen_factor = convert_once_for_all(state)
    with torch.device('meta'):
        network = ElasticMobileNetV3(out_indices=(5,))
    expected = {f'backbone.{key}': value.shape for key, value in network.state_dict().items()}
    assert widen_factor == 1 and len(converted) == len(state)
    assert {key: value.shape for key, value in converted.items()} == expected | {
        'head.fc.weight': (10, 1280),
        'head.fc.bias': (10,),
    }
    # By hand, one of each kind.
    for theirs, ours in {
        'first_conv.bn.running_var': 'first_conv.bn.running_var',
        'blocks.0.conv.depth_conv.conv.weight': 'first_block.depthwise_conv.conv.weight',
        'blocks.1.conv.depth_conv.conv.7to5_matrix': (
            'stages.0.0.depthwise_conv.conv.kernel_matrices.7to5'
        ),
        'blocks.6.conv.inverted_bottleneck.bn.bn.bias': 'stages.1.1.expand_conv.bn.bias',
        'blocks.6.conv.depth_conv.conv.conv.weight': 'stages.1.1.depthwise_conv.conv.weight',
        'blocks.6.conv.depth_conv.se.fc.reduce.bias': 'stages.1.1.se.conv1.conv.bias',
        'blocks.20.conv.depth_conv.se.fc.expand.weight': 'stages.4.3.se.conv2.conv.weight',
        'blocks.20.conv.point_linear.bn.bn.running_mean': 'stages.4.3.linear_conv.bn.running_mean',
        'final_expand_layer.conv.weight': 'final_expand.conv.weight',
        'feature_mix_layer.conv.weight': 'feature_mix.conv.weight',
    }.items():
        assert converted[f'backbone.{ours}'] is state[theirs]


def test_names_of_the_older_files():
    """The published file has another name for a block's convolutions."""
    state = published()
    older = {
        key.replace('.conv.', '.mobile_inverted_conv.', 1)
        if key.startswith('blocks.')
        else key: value
        for key, value in state.items()
    }
    assert 'blocks.1.mobile_inverted_conv.depth_conv.conv.conv.weight' in older
    converted, _ = convert_once_for_all(older)
    expected, _ = convert_once_for_all(state)
    assert converted.keys() == expected.keys()
    assert all(converted[key] is value for key, value in expected.items())


def test_another_width_is_read_from_the_shapes():
    with torch.device('meta'):
        wide = ElasticMobileNetV3(widen_factor=1.2, out_indices=(5,))
        narrow = ElasticMobileNetV3(out_indices=(5,))
    theirs = {id(value): key for key, value in published().items()}
    names = {
        key.removeprefix('backbone.'): theirs[id(value)]
        for key, value in convert_once_for_all(published())[0].items()
    }
    assert wide.state_dict().keys() == narrow.state_dict().keys() == names.keys() - {
        'head.fc.weight', 'head.fc.bias'
    }  # fmt: skip
    state = {names[key]: value for key, value in wide.state_dict().items()}
    assert convert_once_for_all(state)[1] == 1.2


def test_unknown_and_missing_tensors_and_other_shapes_are_named():
    state = published()
    matrix = 'blocks.3.conv.depth_conv.conv.5to3_matrix'
    changed = {key: value for key, value in state.items() if key != matrix} | {
        'blocks.21.conv.point_linear.conv.conv.weight': torch.zeros(1),
        'first_conv.conv.bias': torch.zeros(16),
        'ema': torch.zeros(1),
    }
    with pytest.raises(
        InputError,
        match=r'ofa.pth: not a published Once-for-All MobileNetV3 .* 3 unknown keys or shapes, '
        r'such as backbone.first_conv.conv.bias \(16,\), blocks.21.conv.point_linear.'
        r'conv.conv.weight, ema; 1 missing, such as '
        r'backbone.stages.0.2.depthwise_conv.conv.kernel_matrices.5to3',
    ):
        convert_once_for_all(changed, 'ofa.pth')
    # One network of it, such as a specialised one, is no supernet.
    with pytest.raises(
        InputError, match='1 unknown keys or shapes, .*0.depthwise_conv.conv.weight'
    ):
        convert_once_for_all(
            state | {'blocks.1.conv.depth_conv.conv.conv.weight': torch.zeros(96, 1, 3, 3)}
        )
    with pytest.raises(InputError, match='not a published Once-for-All'):
        convert_once_for_all({'first_conv.conv.weight': torch.zeros(())})


def test_a_tensor_under_two_names_is_listed():
    state = published() | {'blocks.1.conv.inverted_bottleneck.bn.weight': torch.zeros(96)}
    with pytest.raises(InputError, match='such as blocks.1.conv.inverted_bottleneck.bn.weight'):
        convert_once_for_all(state)


def test_other_checkpoints_are_none_of_it():
    assert is_once_for_all(published()) and not is_retrained(published())
    assert not is_once_for_all({'conv1.0.weight': torch.zeros(1)})
