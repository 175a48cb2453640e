"""What an arch costs: MACs and parameters from tables per (position, candidates read), measured on
the real modules."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ..errors import InputError
from ..models.backbones import SearchableBackbone
from ..spaces import Arch, SearchSpace
from ..unwrap import unwrapped


class CostTable:
    """Sums the costs of positions, or of their parallel slots, to the costs of whole archs, in
    microseconds an arch.

    Args:
        space: The space.
        fixed: For each cost, what every arch pays: stem, tail, and whatever else the model runs.
        tables: For each cost, one array per term of ``space.cost_terms``, indexed by the candidates
            of the slots it depends on; in a chain space that is one per position.
    """

    def __init__(
        self, space: SearchSpace, fixed: dict[str, float], tables: dict[str, list[np.ndarray]]
    ) -> None:
        self.space = space
        self.fixed = fixed
        self.tables = tables

    def add(self, name: str, fixed: float, tables: list[np.ndarray]) -> None:
        """Adds another cost."""
        self.fixed[name] = fixed
        self.tables[name] = tables

    def arch_costs(self, arch: Arch) -> dict[str, float]:
        """The costs of one arch: ``{'macs': ..., 'params': ...}`` in units of one, ``latency`` in
        ms."""
        return {name: self.array(name, [arch])[0].item() for name in self.fixed}

    def array(self, name: str, archs: Sequence[Arch] | np.ndarray) -> np.ndarray:
        """One cost of many archs, an array of length ``len(archs)``: int64, or float64 for latency.

        Raises:
            InputError: There is no such cost.
        """
        if name not in self.fixed:
            raise InputError(f'unknown cost {name!r}, expected one of {sorted(self.fixed)}')
        choices = np.asarray(archs)
        total = np.full(len(choices), self.fixed[name])
        for (_, slots), table in zip(self.space.cost_terms, self.tables[name], strict=True):
            total += table[tuple(choices[:, slot] for slot in slots)]
        return total


class Constraints:
    """Limits on costs, inclusive: ``Constraints(table, macs=(None, 50e6))``.

    Args:
        table: The costs of the space.
        limits: For each limited cost, ``(least, most)``, either of them None; or one number, the
            most.

    Raises:
        InputError: A cost the table does not have, or limits the wrong way round.
    """

    def __init__(self, table: CostTable, **limits: float | Sequence[float | None] | None) -> None:
        self.table = table
        self.limits: dict[str, tuple[float, float]] = {}
        for name, limit in limits.items():
            if name not in table.fixed:
                needs = (
                    '; latency needs latency_table, a file of tools/latency.py'
                    if name == 'latency'
                    else ''
                )
                raise InputError(
                    f'constraints: unknown cost {name!r}, expected one of '
                    f'{sorted(table.fixed)}{needs}'
                )
            if limit is None:
                continue
            low, high = (None, limit) if isinstance(limit, int | float) else _pair(name, limit)
            low, high = -np.inf if low is None else low, np.inf if high is None else high
            if low > high:
                raise InputError(f'constraints: {name} of at least {low:g} and at most {high:g}')
            self.limits[name] = (low, high)

    def mask(self, archs: Sequence[Arch] | np.ndarray) -> np.ndarray:
        """Which archs keep every limit, a bool array of length ``len(archs)``."""
        keep = np.ones(len(archs), bool)
        for name, (low, high) in self.limits.items():
            cost = self.table.array(name, archs)
            keep &= (low <= cost) & (cost <= high)
        return keep

    def cost(self, name: str, archs: Sequence[Arch] | np.ndarray) -> np.ndarray:
        """One cost of many archs, see :meth:`CostTable.array`."""
        return self.table.array(name, archs)

    def __str__(self) -> str:
        return (
            ', '.join(f'{name} in [{low:g}, {high:g}]' for name, (low, high) in self.limits.items())
            or 'no constraints'
        )


def _pair(name: str, limit: Any) -> tuple[float | None, float | None]:
    if (
        isinstance(limit, str)
        or len(limit) != 2
        or not all(end is None or isinstance(end, int | float) for end in limit)
    ):
        raise InputError(
            f'constraints: {name}={limit!r}, expected the most as a number, or (least, most)'
        )
    return tuple(limit)


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
