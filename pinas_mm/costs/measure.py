"""MACs and parameters of a supernet's archs, measured on its own modules."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ..models.backbones import borrowed, searchable_backbone_of
from ..unwrap import unwrapped
from .counter import counting
from .table import CostTable


def measure_costs(model: nn.Module, input_size: int | tuple[int, int]) -> CostTable:
    """Builds the table of a supernet from its own modules.

    What is counted is said at :func:`~pinas_mm.costs.counter.counting`. What the model has beside
    the backbone (neck, head) is counted where it runs in ``model(inputs, mode='tensor')``; a bare
    backbone is measured alone.

    Args:
        model: A :class:`SearchableBackbone`, or a model with one as ``backbone``. A subnet has a
            table of its own arch, zero elsewhere.
        input_size: Height and width in pixels, or one number for both.

    Raises:
        InputError: The model has no searchable backbone.
    """
    model, backbone = unwrapped(model), searchable_backbone_of(model)
    space = backbone.space
    height, width = (input_size, input_size) if isinstance(input_size, int) else input_size
    images = torch.zeros(1, 3, height, width, device=next(model.parameters()).device)
    run: Callable[[Tensor], Any] = model
    if model is not backbone:
        run = partial(model, data_samples=blank_samples(images), mode='tensor')
    base = backbone.fixed_arch or (0,) * space.num_slots
    tables = {
        name: [
            np.zeros([space.num_candidates[slot] for slot in slots], np.int64)
            for _, slots in space.cost_terms
        ]
        for name in ('macs', 'params')
    }
    with borrowed(model), torch.no_grad(), counting() as count:
        model.eval()
        inputs, of_base = [images], []
        for part in range(backbone.num_parts):
            output, *costs = count(backbone.run_part, part, base, inputs[part])
            inputs.append(output)
            of_base.append(costs)
        for term, (index, slots) in enumerate(space.cost_terms):
            for choices in np.ndindex(*tables['macs'][term].shape):
                arch = list(base)
                for slot, choice in zip(slots, choices):
                    arch[slot] = choice
                if tuple(arch) == base:
                    costs = of_base[index + 1]
                elif backbone.is_supernet:
                    _, *costs = count(backbone.run_part, index + 1, tuple(arch), inputs[index + 1])
                else:
                    continue
                # Of a parallel position this counts the other slots' base too, at every term the
                # same: `fixed` makes up for it.
                tables['macs'][term][choices], tables['params'][term][choices] = costs
        backbone.set_arch(base)
        _, macs, params = count(run, images)
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
