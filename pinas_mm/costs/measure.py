"""MACs and parameters of a supernet's archs, measured on its own modules."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ..errors import InputError
from ..models.backbones import SearchableBackbone
from ..unwrap import unwrapped
from .table import CostTable


def measure_costs(model: nn.Module, input_size: int | tuple[int, int]) -> CostTable:
    """Builds the table of a supernet from its own modules.

    MACs count convolutions and linear layers only. What the model has beside the backbone (neck,
    head) is counted where it runs in ``model(inputs, mode='tensor')``; a bare backbone is measured
    alone.

    Args:
        model: A :class:`SearchableBackbone`, or a model with one as ``backbone``.
        input_size: Height and width in pixels, or one number for both.

    Raises:
        InputError: The model has no searchable backbone.
    """
    model = unwrapped(model)
    backbone = model if isinstance(model, SearchableBackbone) else getattr(model, 'backbone', None)
    if not isinstance(backbone, SearchableBackbone):
        raise InputError(
            f'{type(model).__name__} has no searchable backbone: expected one of pinas_mm as its '
            f'`backbone`'
        )
    space = backbone.space
    height, width = (input_size, input_size) if isinstance(input_size, int) else input_size
    images = torch.zeros(1, 3, height, width, device=next(model.parameters()).device)
    tables = {
        name: [
            np.zeros([space.num_candidates[slot] for slot in slots], np.int64)
            for _, slots in space.cost_terms
        ]
        for name in ('macs', 'params')
    }
    base = backbone.fixed_arch or (0,) * space.num_slots
    modes, active = [(module, module.training) for module in model.modules()], backbone._arch
    model.eval()
    try:
        with torch.no_grad():
            inputs = [backbone.stem(images)]
            for index in range(len(space.positions)):
                inputs.append(backbone.run(index, base, inputs[index]))
            for term, (index, slots) in enumerate(space.cost_terms):
                for choices in np.ndindex(tables['macs'][term].shape):
                    if not backbone.is_supernet and any(
                        backbone.fixed_arch[s] != c for s, c in zip(slots, choices)
                    ):
                        continue
                    arch = list(base)
                    for slot, choice in zip(slots, choices):
                        arch[slot] = choice
                    # Of a parallel position this counts the other slots' base too, at every term
                    # the same: `fixed` makes up for it.
                    macs, params = _count(
                        backbone.layers[index],
                        inputs[index],
                        partial(backbone.run, index, tuple(arch)),
                    )
                    tables['macs'][term][choices] = macs
                    tables['params'][term][choices] = params
            backbone.set_arch(base)
            run = (
                model
                if model is backbone
                else partial(model, data_samples=blank_samples(images), mode='tensor')
            )
            macs, params = _count(model, images, run)
    finally:
        backbone._arch = active
        for module, training in modes:
            module.training = training
    table = CostTable(space, dict(macs=0, params=0), tables)
    chosen = table.arch_costs(base)
    table.fixed = dict(macs=macs - chosen['macs'], params=params - chosen['params'])
    return table


def blank_samples(images: Tensor) -> list[BaseDataElement]:
    """Data samples without annotations for images ``(N, 3, H, W)``; two-stage detectors ask them
    for the images' sizes."""
    size = tuple(images.shape[-2:])
    return [
        BaseDataElement(
            metainfo=dict(
                img_shape=size,
                ori_shape=size,
                pad_shape=size,
                batch_input_shape=size,
                scale_factor=(1.0, 1.0),
            )
        )
        for _ in images
    ]


def _count(module: nn.Module, x: Tensor, run: Callable[[Tensor], Any]) -> tuple[int, int]:
    """Calls ``run(x)`` and counts what ran inside ``module``: MACs, parameters."""
    with _counting(module) as ran:
        run(x)
    return sum(macs for macs, _ in ran.values()), sum(params for _, params in ran.values())


@contextmanager
def _counting(root: nn.Module) -> Iterator[dict[nn.Module, tuple[int, int]]]:
    ran: dict[nn.Module, tuple[int, int]] = {}

    def after(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        macs = 0
        if isinstance(module, nn.Conv2d | nn.Linear):
            macs = output.numel() * module.weight[0].numel()
        params = sum(p.numel() for p in module.parameters(recurse=False))
        ran[module] = (ran.get(module, (0, 0))[0] + macs, params)

    handles = [
        module.register_forward_hook(after)
        for module in root.modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    try:
        yield ran
    finally:
        for handle in handles:
            handle.remove()
