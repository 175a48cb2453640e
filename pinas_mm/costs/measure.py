"""MACs and parameters of a supernet's archs, measured on its own modules."""

from functools import partial

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ..models.backbones import borrowed, searchable_backbone_of
from ..unwrap import unwrapped
from .counter import counting
from .detection_heads import boxes_at_maximum, mode_of
from .table import CostTable


def measure_costs(model: nn.Module, input_size: int | tuple[int, int]) -> CostTable:
    """Builds the table of a supernet from its own modules.

    Its costs are ``macs`` and ``params`` of the whole model, for one image, and ``backbone_macs``.
    :func:`~pinas_mm.costs.counter.counting` says what is counted. Of neck and head, that is what
    runs in ``model(inputs, mode='tensor')`` on an image of zeros; a bare backbone is measured
    alone. RoI heads are counted at the most boxes their config allows for
    (:func:`~pinas_mm.costs.detection_heads.boxes_at_maximum`), mask heads of one-stage detectors as
    they run (:func:`~pinas_mm.costs.detection_heads.mode_of`), and the table's ``notes`` say so.
    Other heads of mmdet do the same work for every image: dense ones, and queries of a fixed
    number.

    Args:
        model: A :class:`ArchBackbone`, or a model with one as ``backbone``. A subnet has a
            table of its own arch, zero elsewhere.
        input_size: Height and width in pixels, or one number for both.

    Raises:
        InputError: The model has no searchable backbone.
    """
    model, backbone = unwrapped(model), searchable_backbone_of(model)
    space = backbone.space
    height, width = (input_size, input_size) if isinstance(input_size, int) else input_size
    device = next(model.parameters()).device
    images = torch.zeros(1, backbone.in_channels, height, width, device=device)
    samples = blank_samples(images)
    mode, notes = mode_of(model)
    run = model if model is backbone else partial(model, data_samples=samples, mode=mode)
    base = backbone.fixed_arch or (0,) * space.num_slots
    tables = {
        name: [
            np.zeros([space.num_candidates[slot] for slot in slots], np.int64)
            for _, slots in space.cost_terms
        ]
        for name in ('macs', 'params')
    }
    with borrowed(model), backbone.costs_of_subnets(), torch.no_grad(), counting() as count:
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
        with boxes_at_maximum(model, samples) as boxes:
            _, macs, params = count(run, images)
    whole = dict(macs=macs, backbone_macs=sum(macs for macs, _ in of_base), params=params)
    tables['backbone_macs'] = tables['macs']
    table = CostTable(space, dict.fromkeys(whole, 0), tables, notes + boxes)
    chosen = table.arch_costs(base)
    table.fixed = {name: cost - chosen[name] for name, cost in whole.items()}
    table.stem_macs = of_base[0][0]
    return table


def blank_samples(images: Tensor) -> list[BaseDataElement]:
    """Data samples without annotations for images ``(N, C, H, W)``; two-stage detectors ask them
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
