"""Whether what follows a searchable backbone takes the channels that it gives: widths differ
between spaces and widen factors."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from ..errors import InputError
from ..unwrap import unwrapped
from .backbones import SearchableBackbone

# What necks of mmpretrain that give as many channels as they get are made of.
KEEP_CHANNELS = (
    'AdaptiveAvgPool1d',
    'AdaptiveAvgPool2d',
    'AdaptiveAvgPool3d',
    'BatchNorm1d',
    'GeneralizedMeanPooling',
)


def check_channels(model: nn.Module) -> None:
    """Checks the neck, or where none changes the channels the heads, of any mm model with a
    searchable backbone.

    Raises:
        InputError: Other ``in_channels`` than the backbone gives; the message has the right ones.
            (torch's own comes from inside the first forward pass and names neither.)
    """
    model = unwrapped(model)
    backbone, neck = getattr(model, 'backbone', None), getattr(model, 'neck', None)
    if not isinstance(backbone, SearchableBackbone):
        return
    if neck is not None and getattr(neck, 'in_channels', None) is not None:
        _check('neck', neck.in_channels, backbone, backbone.out_channels)
    elif neck is None or all(type(module).__name__ in KEEP_CHANNELS for module in _leaves(neck)):
        head = getattr(model, 'head', None)
        for part in (
            head,
            *getattr(head, 'task_heads', nn.ModuleDict()).values(),
        ):  # of several tasks in mmpretrain's MultiTaskHead
            if isinstance(getattr(part, 'in_channels', None), int):
                _check(type(part).__name__, part.in_channels, backbone, backbone.out_channels)
        heads = [getattr(model, name, None) for name in ('decode_head', 'auxiliary_head')]
        for head in (
            head
            for entry in heads
            for head in (entry if isinstance(entry, nn.ModuleList) else [entry])
        ):
            index = getattr(head, 'in_index', None)
            # Where it joins several maps, mmseg's head knows the sum of their channels instead.
            if (
                head is not None
                and isinstance(index, int)
                and -len(backbone.out_channels) <= index < len(backbone.out_channels)
            ):
                channels: Any = head.in_channels
                _check(type(head).__name__, channels, backbone, (backbone.out_channels[index],))


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    """The modules in ``module`` that hold no others, or itself."""
    return (part for part in module.modules() if next(part.children(), None) is None)


def _check(
    name: str, in_channels: int | list[int], backbone: SearchableBackbone, expected: tuple[int, ...]
) -> None:
    found = (in_channels,) if isinstance(in_channels, int) else tuple(in_channels)
    if found != (expected[-1:] if isinstance(in_channels, int) else expected):
        raise InputError(
            f'in_channels={in_channels} of the {name}: {type(backbone).__name__} with '
            f'out_indices={backbone.out_indices} and '
            f'widen_factor={backbone.widen_factor:g} gives {list(expected)}'
        )
