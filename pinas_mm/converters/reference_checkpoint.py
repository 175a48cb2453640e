"""Reads the checkpoints published with Pi-NAS (Peng et al., ICCV 2021) into our parameter names."""

import re

import torch
from torch import Tensor

from ..errors import InputError
from ..models.backbones.resnest import SearchableResNeSt
from ..spaces.resnest50 import RESNEST50

# Where the backbone sits in a published checkpoint: alone, in a classifier, or as the student of
# the two-path model.
PREFIXES = ('', 'backbone.', 'module.backbone.', 'encoder_q.0.', 'module.encoder_q.0.')
_BLOCK = re.compile(r'layer(\d+)\.(\d+)\.(\d+)\.(.+)')


def convert_reference(
    state_dict: dict[str, Tensor], source: str = 'checkpoint'
) -> tuple[dict[str, Tensor], list[str]]:
    """Our keys, below ``backbone.``, for a published supernet checkpoint, and the keys that are
    none of the backbone's.

    The published network holds the shortcut projection of a position once per candidate, always the
    same tensor; ours has it once.

    Args:
        state_dict: The published supernet's tensors, at any width.
        source: Where they came from, for messages.

    Raises:
        InputError: Not such a checkpoint, unequal shortcut copies, or tensors that do not fit the
            space at any width.
    """
    prefix = next((prefix for prefix in PREFIXES if f'{prefix}conv1.0.weight' in state_dict), None)
    if prefix is None:
        raise InputError(
            f"{source}: no key 'conv1.0.weight' below any of {PREFIXES}: not a published Pi-NAS "
            f'supernet'
        )
    converted: dict[str, Tensor] = {}
    others = []
    for key, value in state_dict.items():
        name = _our_name(key.removeprefix(prefix)) if key.startswith(prefix) else None
        if name is None:
            others.append(key)
            continue
        if name in converted and not torch.equal(converted[name], value):
            raise InputError(
                f"{source}: {key} differs from another candidate's copy of the same shortcut"
            )
        converted[name] = value

    widen_factor = state_dict[f'{prefix}conv1.0.weight'].shape[0] * 2 / RESNEST50.stem_channels
    expected = SearchableResNeSt(widen_factor=widen_factor).state_dict()
    wrong = [
        key
        for key in expected.keys() | converted.keys()
        if key not in expected
        or key not in converted
        or expected[key].shape != converted[key].shape
    ]
    if wrong:
        raise InputError(
            f'{source}: {len(wrong)} tensors do not fit resnest50 at '
            f'widen_factor={widen_factor:g}, '
            f'such as {sorted(wrong)[:4]}'
        )
    return {f'backbone.{key}': value for key, value in converted.items()}, others


def _our_name(key: str) -> str | None:
    """``conv1.3.weight`` to ``stem.3.weight``, ``layer2.0.3.conv1.weight`` to
    ``layers.3.3.conv1.weight``; None for other modules."""
    if key.startswith('conv1.'):
        return key.replace('conv1.', 'stem.', 1)
    if key.startswith('bn1.'):
        return key.replace('bn1.', 'stem.7.', 1)
    match = _BLOCK.fullmatch(key)
    if match is None:
        return None
    stage, index, candidate, rest = int(match[1]) - 1, int(match[2]), match[3], match[4]
    position = sum(p.stage < stage for p in RESNEST50.positions) + index
    if rest.startswith('downsample.'):
        return f'layers.{position}.{rest.replace("downsample", "shortcut", 1)}'
    return f'layers.{position}.{candidate}.{rest}'
