"""Reads retrained Pi-NAS backbones (Peng et al., ICCV 2021), which are published in ResNeSt's own
layout, into our parameter names."""

import re

import torch
from torch import Tensor

from ..errors import InputError
from ..models.backbones.resnest import SearchableResNeSt
from ..spaces import Arch
from ..spaces.resnest50 import DEPTHS, RESNEST50

# Where the backbone sits: alone, in a classifier or mm model, on a wrapped one, in a detector of
# detectron2.
PREFIXES = ('', 'backbone.', 'backbone.bottom_up.')
_STEM = re.compile(r'(?:stem\.)?(conv1\.[01346]|bn1)\.(\w+)')
_BLOCK = re.compile(r'(layer|res)(\d+)\.(\d+)\.(.+)')
_FC = re.compile(r'fc\.(weight|bias)')


def is_retrained(state_dict: dict[str, Tensor]) -> bool:
    """Whether these are a single network's tensors: in a supernet's, blocks have the candidate's
    index after their own."""
    return any(
        (match := _BLOCK.search(key)) and match[4].startswith('conv1.') for key in state_dict
    )


def convert_retrained(
    state_dict: dict[str, Tensor], source: str = 'checkpoint'
) -> tuple[dict[str, Tensor], Arch, float, list[str]]:
    """Our keys for a published subnet, and the arch that its shapes tell.

    Build the backbone with ``avd_dilated=True, contract_dilation=True`` where it is dilated: these
    weights were trained so.

    Args:
        state_dict: The published tensors: ``conv1.{0,1,3,4,6}``, ``bn1``, ``layer{n}.{i}…`` below
            any of ``PREFIXES``, with ``module.`` before it or not; in detectors ``stem.`` before
            the stem and ``res2`` to ``res5`` for the layers; ``fc`` or not.
        source: Where they came from, for messages.

    Returns:
        The tensors (``backbone.…``, and ``head.fc.…`` if there is an ``fc``), the arch, its
        ``widen_factor``, and the keys that do not belong to the backbone (a detector's neck and
        heads).

    Raises:
        InputError: Not such a checkpoint, or a backbone with unknown or missing keys or a block
            that is no candidate; they are listed.
    """
    tensors = {key.removeprefix('module.'): value for key, value in state_dict.items()}
    prefix = next(
        (
            prefix
            for prefix in PREFIXES
            for stem in ('', 'stem.')
            if f'{prefix}{stem}conv1.0.weight' in tensors
        ),
        None,
    )
    if prefix is None:
        raise InputError(
            f"{source}: no key 'conv1.0.weight' or 'stem.conv1.0.weight' below any of {PREFIXES}: "
            'not a retrained Pi-NAS backbone'
        )
    ours: dict[str, Tensor] = {}
    blocks: dict[int, dict[str, Tensor]] = {}
    unknown, others = [], []
    for key, value in tensors.items():
        name = key.removeprefix(prefix)
        if _FC.fullmatch(name) or _FC.fullmatch(key):
            kept, part = f'head.{name}', ours
        elif not key.startswith(prefix):
            others.append(key)
            continue
        elif match := _STEM.fullmatch(name):
            module = 'stem.7' if match[1] == 'bn1' else match[1].replace('conv1', 'stem')
            kept, part = f'backbone.{module}.{match[2]}', ours
        elif (match := _BLOCK.fullmatch(name)) and (position := _position(match)) is not None:
            kept, part = match[4].replace('downsample', 'shortcut'), blocks.setdefault(position, {})
        else:
            unknown.append(key)
            continue
        if kept in part:
            unknown.append(f'{key} (a second name of the same tensor)')
        part[kept] = value

    first = next(
        tensors[key]
        for key in (f'{prefix}conv1.0.weight', f'{prefix}stem.conv1.0.weight')
        if key in tensors
    )
    widen_factor = first.shape[0] * 2 / RESNEST50.stem_channels
    with torch.device('meta'):
        shapes = {
            key: tuple(value.shape)
            for key, value in SearchableResNeSt(widen_factor=widen_factor).state_dict().items()
        }
    unknown += [
        f'{key} {tuple(value.shape)}'
        for key, value in ours.items()
        if key.startswith('backbone.')
        and shapes.get(key.removeprefix('backbone.')) != tuple(value.shape)
    ]
    arch = []
    for position in range(sum(DEPTHS)):
        block = blocks.get(position, {})
        fits = {
            choice: _misfits(block, shapes, position, choice)
            for choice in range(RESNEST50.num_candidates[position])
        }
        choice = min(fits, key=lambda choice: len(fits[choice]))
        arch.append(choice)
        unknown += fits[choice]
        for name, value in block.items():
            ours[f'backbone.{_key(position, choice, name)}'] = value
    expected = SearchableResNeSt(arch, widen_factor).state_dict()
    # Frozen BN of detectors has no count of batches; nothing reads it.
    for key, value in expected.items():
        if key.endswith('num_batches_tracked'):
            ours.setdefault(f'backbone.{key}', value)
    missing = sorted(f'backbone.{key}' for key in expected if f'backbone.{key}' not in ours)
    if unknown or missing:
        raise InputError(
            f'{source}: not a retrained Pi-NAS backbone: '
            + '; '.join(
                f'{title}: {", ".join(keys)}'
                for title, keys in (('unknown keys or shapes', unknown), ('missing', missing))
                if keys
            )
        )
    return ours, tuple(arch), widen_factor, others


def _position(match: re.Match) -> int | None:
    """``layer2.0`` and ``res3.0`` are position 3."""
    stage, index = int(match[2]) - (1 if match[1] == 'layer' else 2), int(match[3])
    return (
        sum(DEPTHS[:stage]) + index if 0 <= stage < len(DEPTHS) and index < DEPTHS[stage] else None
    )


def _key(position: int, choice: int, name: str) -> str:
    return (
        f'layers.{position}.{name}'
        if name.startswith('shortcut.')
        else f'layers.{position}.{choice}.{name}'
    )


def _misfits(
    block: dict[str, Tensor], shapes: dict[str, tuple[int, ...]], position: int, choice: int
) -> list[str]:
    """The tensors of a block that this candidate does not have, or has in another shape."""
    return [
        f'{_key(position, choice, name)} {tuple(value.shape)}'
        for name, value in block.items()
        if shapes.get(_key(position, choice, name)) != tuple(value.shape)
    ]
