"""Whether what follows a searchable backbone can read the maps that it gives: widths differ between
spaces and widen factors.

Necks and heads read maps in ways of their own: YOLOv3's neck from the last to the first, a
segmentation head at ``in_index``, a dense head all with one ``in_channels``. So each is run on
maps of the backbone, in eval mode, and the first layer that gets other channels than it has weights
for tells. A part that needs more than maps, such as proposals or annotations, is not checked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.utils import is_tuple_of
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from ..errors import InputError
from ..unwrap import unwrapped
from .backbones import ArchBackbone, borrowed

# Side in pixels of the image that is run: of a total stride of 32, 2 x 2 are left.
SIZE = 64
HEADS = ('head', 'rpn_head', 'bbox_head', 'decode_head', 'auxiliary_head')
CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)

Maps = tuple[Tensor, ...]


def check_channels(model: nn.Module) -> None:
    """Checks the images' preprocessing, the neck and the heads of any mm model with a searchable
    backbone. The model is left as it was.

    Raises:
        InputError: One reads other channels, other maps or more maps than there are; the message
            has what fits. (torch's own error comes from inside the first forward pass and names no
            key.)
    """
    model = unwrapped(model)
    backbone: Any = getattr(model, 'backbone', None)
    if not isinstance(backbone, ArchBackbone):
        return
    inner = getattr(model, 'model', None)
    if isinstance(inner, BaseModel) and getattr(inner, 'backbone', None) is backbone:
        model = inner  # which a strategy holds
    _check_mean(getattr(model, 'data_preprocessor', None), backbone)
    neck = getattr(model, 'neck', None)
    heads = [(name, getattr(model, name, None)) for name in HEADS]
    if not any(isinstance(part, nn.Module) for part in (neck, *(head for _, head in heads))):
        return
    weight = next(backbone.parameters())
    devices = [weight.device] if weight.is_cuda else []
    with borrowed(model), torch.no_grad(), torch.random.fork_rng(devices):
        model.eval()
        if backbone.is_supernet:
            backbone.set_arch((0,) * backbone.space.num_slots)
        maps = backbone(weight.new_zeros(1, backbone.in_channels, SIZE, SIZE))
        giver = (
            f'{type(backbone).__name__} with out_indices={backbone.out_indices} and '
            f'widen_factor={backbone.widen_factor:g}'
        )
        for key, part in _parts('model.neck', neck):
            outputs = _check(key, part, maps, giver)
            if outputs is None:
                return  # what the heads get is not known
            maps, giver = outputs, key
        for name, head in heads:
            for key, part in _parts(f'model.{name}', head):
                _check(key, part, maps, giver)


def _check_mean(preprocessor: nn.Module | None, backbone: ArchBackbone) -> None:
    mean = getattr(preprocessor, 'mean', None)
    if isinstance(mean, Tensor) and mean.numel() not in (1, backbone.in_channels):
        raise InputError(
            f'data_preprocessor: mean and std of {mean.numel()} channels, but '
            f'{type(backbone).__name__} reads in_channels={backbone.in_channels}: expected '
            f'{backbone.in_channels} of each, or another model.backbone.in_channels'
        )


def _parts(key: str, part: nn.Module | None) -> Iterator[tuple[str, nn.Module]]:
    """A neck or head with its config key; the members of one that is a list or, as mmpretrain's
    MultiTaskHead, one for each task."""
    tasks = getattr(part, 'task_heads', part)
    if isinstance(tasks, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        key = key if tasks is part else f'{key}.task_heads'
        for name, member in tasks.named_children():
            yield from _parts(f'{key}.{name}', member)
    elif isinstance(part, nn.Module):
        yield key, part


class _MisfitError(Exception):
    """A layer got other channels than it has weights for.

    Args:
        layer: Its name within the part.
        reads: Channels it has weights for.
        gets: Channels of its input.
        shape: Of its input.
    """

    def __init__(self, layer: str, reads: int, gets: int, shape: Sequence[int]) -> None:
        super().__init__(layer)
        self.layer, self.reads, self.gets, self.shape = layer, reads, gets, tuple(shape)


def _check(key: str, part: nn.Module, maps: Maps, giver: str) -> Maps | None:
    """What a part gives for maps; None where it needs more than maps or gives something else.

    Raises:
        InputError: It does not fit the maps.
    """
    given = [int(entry.shape[1]) for entry in maps]
    source = f'{giver} gives {given}'
    index, declared = getattr(part, 'in_index', None), getattr(part, 'in_channels', None)
    declared = list(declared) if isinstance(declared, tuple) else declared
    indices = [index] if isinstance(index, int) else list(index or ())
    if any(not -len(maps) <= entry < len(maps) for entry in indices):
        raise InputError(
            f'{key}: in_index={index} of {type(part).__name__}: {source}: expected 0 to '
            f'{len(maps) - 1}'
        )
    outputs, misfit = _run(part, maps)
    if outputs is not None:
        return outputs if is_tuple_of(outputs, Tensor) else None
    if misfit is not None and _of_positions(part, maps, misfit):
        return None
    expected = _expected(part, declared, index, maps)
    counts = isinstance(declared, list) and not indices and len(declared) != len(given)
    # A head of mmseg that joins maps knows the sum of their channels.
    joined = isinstance(declared, int) and isinstance(expected, list)
    fits = declared == (sum(expected) if isinstance(expected, list) and joined else expected)
    if expected is not None and not fits and (misfit or counts):
        raise InputError(
            f'{key}: in_channels={declared}{" in all" if joined else ""} of '
            f'{type(part).__name__}: {source}: expected in_channels={expected}'
        )
    if misfit is not None:
        raise InputError(
            f'{key}: its layer {misfit.layer!r} reads {misfit.reads} channels and gets an input '
            f'of shape {misfit.shape}: {source}: expected in_channels of {type(part).__name__} '
            f'that fit them'
        )
    return None


def _of_positions(part: nn.Module, maps: Maps, misfit: _MisfitError) -> bool:
    """Whether what does not fit is the size of the maps, as in a layer that mixes positions or
    reads a flattened map of one size: it changes with the size, and channels do not."""
    larger = tuple(
        entry.new_zeros(*entry.shape[:2], *(2 * side for side in entry.shape[2:])) for entry in maps
    )
    _, other = _run(part, larger)
    return other is None or other.layer != misfit.layer or other.gets != misfit.gets


def _expected(part: nn.Module, declared: Any, index: Any, maps: Maps) -> int | list[int] | None:
    """The ``in_channels`` with which a part would fit maps, None where that is not known.

    How it reads maps is learned from a run on maps that have the channels it declares."""
    given = [int(entry.shape[1]) for entry in maps]
    if index is not None:  # a head of mmseg
        return given[index] if isinstance(index, int) else [given[entry] for entry in index]
    if isinstance(declared, int):
        if _run(part, (*maps[:-1], _with_channels(maps[-1], declared)))[0] is not None:
            return given[-1]
        every = tuple(_with_channels(entry, declared) for entry in maps)
        return given[0] if len(set(given)) == 1 and _run(part, every)[0] is not None else None
    if not isinstance(declared, list):
        return None
    # As many maps as it declares, each of half the size of the one before.
    sizes = [max(1, maps[0].shape[-1] >> step) for step in range(len(declared))]
    if len(declared) == len(maps):
        sizes = [entry.shape[-1] for entry in maps]
    for step in (1, -1):  # from the first map to the last, or as YOLOv3's neck
        own = tuple(
            maps[0].new_zeros(1, channels, size, size)
            for channels, size in zip(declared[::step], sizes)
        )
        if _run(part, own)[0] is not None:
            return given[::step]
    return None


def _with_channels(entry: Tensor, channels: int) -> Tensor:
    return entry.new_zeros(1, channels, *entry.shape[2:])


def _run(part: nn.Module, maps: Maps) -> tuple[Any, _MisfitError | None]:
    """The outputs of a part for maps, None where it fails; and the layer that does not fit."""
    try:
        with _watched(part):
            return part(maps), None
    except _MisfitError as misfit:
        return None, misfit
    except Exception:  # it needs more than maps, in whatever way it says so
        return None, None


@contextmanager
def _watched(part: nn.Module) -> Iterator[None]:
    """Within it a layer of a part raises :class:`_MisfitError` before it runs on other channels
    than it has weights for."""

    def check(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        dim, reads = _reads(layer)
        if inputs and isinstance(inputs[0], Tensor) and inputs[0].shape[dim] != reads:
            raise _MisfitError(names[layer], reads, inputs[0].shape[dim], inputs[0].shape)

    names = {layer: name for name, layer in part.named_modules() if _reads(layer)[1]}
    handles = [layer.register_forward_pre_hook(check) for layer in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _reads(layer: nn.Module) -> tuple[int, int]:
    """The dimension of a layer's input that has the channels, and how many it has weights for; 0
    where it has none."""
    if isinstance(layer, nn.Linear):
        return -1, layer.in_features
    if isinstance(layer, CONVOLUTIONS):
        return 1, layer.in_channels
    if isinstance(layer, _NormBase):
        return 1, layer.num_features
    return (1, layer.num_channels) if isinstance(layer, nn.GroupNorm) else (1, 0)
