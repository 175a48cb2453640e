"""Reads the MobileNetV3 supernets published with Once-for-All (Cai et al., ICLR 2020) into our
parameter names."""

import re

import torch
from torch import Tensor

from ..errors import InputError
from ..models.backbones.elastic_mobilenet_v3 import ElasticMobileNetV3
from ..spaces.elastic_mobilenet_v3 import ELASTIC_MOBILENET_V3

FIRST = 'first_conv.conv.weight'
_BLOCK = re.compile(r'blocks\.(\d+)\.conv\.(.+)')
# The layers of a block, published and ours.
_LAYERS = {
    'inverted_bottleneck': 'expand_conv',
    'depth_conv.se.fc.reduce': 'se.conv1.conv',
    'depth_conv.se.fc.expand': 'se.conv2.conv',
    'depth_conv': 'depthwise_conv',
    'point_linear': 'linear_conv',
}
# What stands outside of the blocks.
_OUTSIDE = {
    'first_conv': 'backbone.first_conv',
    'final_expand_layer': 'backbone.final_expand',
    'feature_mix_layer': 'backbone.feature_mix',
    'classifier.linear': 'head.fc',
}


def is_once_for_all(state_dict: dict[str, Tensor]) -> bool:
    """Whether these are the tensors of a published MobileNetV3 of Once-for-All."""
    return FIRST in state_dict


def convert_once_for_all(
    state_dict: dict[str, Tensor], source: str = 'checkpoint'
) -> tuple[dict[str, Tensor], float]:
    """Our names for a published MobileNetV3 supernet.

    Args:
        state_dict: The published tensors, at any width and with any number of classes.
        source: Where they came from, for messages.

    Returns:
        The tensors (``backbone....``, and ``head.fc....``), and the ``widen_factor``.

    Raises:
        InputError: Tensors that no such supernet has, missing ones, or other shapes; they are
            listed.
    """
    ours: dict[str, Tensor] = {}
    unknown: list[str] = []
    for key, value in state_dict.items():
        name = _our_name(key)
        if name is None or name in ours:
            unknown.append(key)
        else:
            ours[name] = value
    expand = ours.get('backbone.final_expand.conv.weight')
    widen_factor = 1.0 if expand is None or not expand.ndim else len(expand) / 960
    with torch.device('meta'):
        tail = (ELASTIC_MOBILENET_V3.num_stages,)
        network = ElasticMobileNetV3(widen_factor=widen_factor, out_indices=tail)
    shapes = {f'backbone.{key}': value.shape for key, value in network.state_dict().items()}
    unknown += [
        f'{name} {tuple(value.shape)}'
        for name, value in ours.items()
        if not name.startswith('head.') and shapes.get(name) != value.shape
    ]
    missing = [name for name in shapes if name not in ours]
    if unknown or missing:
        raise InputError(
            f'{source}: not a published Once-for-All MobileNetV3 supernet with depths 2, 3, 4, '
            f'expansions 3, 4, 6 and kernels 3, 5, 7: '
            + '; '.join(
                f'{len(keys)} {title}, such as {", ".join(sorted(keys)[:4])}'
                for title, keys in (('unknown keys or shapes', unknown), ('missing', missing))
                if keys
            )
        )
    return ours, widen_factor


def _our_name(key: str) -> str | None:
    """``blocks.6.conv.depth_conv.bn.bn.weight`` to
    ``backbone.stages.1.1.depthwise_conv.bn.weight``; None for other tensors."""
    # The older files have another name for a block's convolutions. A layer that is elastic there
    # holds one of the same name.
    key = key.replace('.mobile_inverted_conv.', '.conv.')
    match = _BLOCK.fullmatch(key)
    rest = re.sub(r'\b(conv|bn)\.\1\.', r'\1.', match[2] if match else key)
    rest = re.sub(r'(\d+to\d+)_matrix$', r'kernel_matrices.\1', rest)
    for published, ours in (_LAYERS if match else _OUTSIDE).items():
        if rest.startswith(f'{published}.'):
            rest = rest.replace(published, ours, 1)
            break
    else:
        return None
    if match is None:
        return rest
    number = int(match[1]) - 1
    if number < 0:
        return f'backbone.first_block.{rest}'
    if number >= len(ELASTIC_MOBILENET_V3.positions):
        return None
    stage = ELASTIC_MOBILENET_V3.positions[number].stage
    return f'backbone.stages.{stage}.{ELASTIC_MOBILENET_V3.places[number]}.{rest}'
