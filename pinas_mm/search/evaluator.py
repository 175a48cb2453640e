"""Turns archs into scores with the supernet's weights: recalibrates BN, then runs the validation metric."""
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel, is_model_wrapper
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ..errors import InputError
from ..models.backbones import SearchableBackbone
from ..spaces import Arch

MIN_CALIBRATION_BATCH = 16


class ArchEvaluator:
    """Scores archs of any mm model with a searchable backbone, by any mm metric.

    Args:
        model: The model that holds the supernet.
        calibration_loader: Batches for BN recalibration, the same at every pass; disjoint from ``loader``'s samples.
        loader: Batches to score on. Every rank reads the whole set.
        build_metrics: Makes a fresh mm evaluator, one per arch.
        autocast: Device-specific autocast dtype such as ``torch.float16``, or None for full precision.

    Raises:
        InputError: The model has no supernet, or a loader has no data.
    """

    def __init__(self,
                 model: nn.Module,
                 calibration_loader: DataLoader,
                 loader: DataLoader,
                 build_metrics: Callable[[], Evaluator],
                 autocast: torch.dtype | None = None) -> None:
        self.model: BaseModel = model.module if is_model_wrapper(model) else model
        backbone = getattr(self.model, 'backbone', None)
        if not isinstance(backbone, SearchableBackbone):
            raise InputError(f'{type(self.model).__name__} has no searchable backbone: expected one of pinas_mm as model.backbone')
        for name, data in (('calibration', calibration_loader), ('scoring', loader)):
            if len(data) == 0:
                raise InputError(f'the {name} loader has no batch: {len(data.dataset)} samples at batch size {data.batch_size}')
        self.backbone = backbone
        self.calibration_loader = calibration_loader
        self.loader = loader
        self.build_metrics = build_metrics
        self.autocast = autocast

    def evaluate(self, archs: Iterable[Arch]) -> Iterator[dict[str, float]]:
        """Yields one dict of metrics per arch, in order. The supernet is left as it was, also after an error."""
        for arch in archs:
            with self.recalibrated(arch):
                scores = self._score()
            yield scores

    @contextmanager
    def recalibrated(self, arch: Arch) -> Iterator[None]:
        """Within it, ``arch`` is active, the model in eval mode, and the arch's BN statistics are those of the calibration data."""
        with recalibrated_bn(self.model, arch, self.calibration_loader, self.autocast):
            yield

    @torch.no_grad()
    def _score(self) -> dict[str, float]:
        metrics = self.build_metrics()
        metrics.dataset_meta = getattr(self.loader.dataset, 'metainfo', None)
        for batch in self.loader:
            with _autocast(self.model, self.autocast):
                outputs = self.model.val_step(batch)
            metrics.process(data_samples=outputs, data_batch=batch)
        scores: dict[str, float] = {}
        for metric in metrics.metrics:
            # Not metric.evaluate(): that gathers every rank's results, and ranks may hold different archs.
            prefix = f'{metric.prefix}/' if metric.prefix else ''
            computed = metric.compute_metrics(metric.results)
            metric.results.clear()
            scores |= {f'{prefix}{name}': float(value) for name, value in computed.items()}
        return scores


@contextmanager
def recalibrated_bn(model: BaseModel, arch: Sequence[int], loader: DataLoader, autocast: torch.dtype | None = None) -> Iterator[None]:
    """Recalibrates the BN layers that ``arch`` runs, and puts everything back at the end.

    Each calibration batch is normalised with its own statistics; a layer's running mean and (unbiased) variance become the plain
    averages over the batches. Only active BN layers are in train mode, so dropout is off. Published for single-path supernets in
    SPOS (Guo et al., ECCV 2020, section 3.4).

    Args:
        model: An mm model whose ``backbone`` is a :class:`SearchableBackbone`.
        arch: The arch to make active.
        loader: Calibration batches, each of at least 16 images.
        autocast: As in :class:`ArchEvaluator`.

    Raises:
        InputError: No calibration data, or a batch too small for its statistics to mean anything.
    """
    backbone = model.backbone
    arch = backbone.space.validate(arch, 'BN recalibration')
    layers = active_bn_layers(model, arch)
    modes = [(module, module.training) for module in model.modules()]
    kept = [(layer, layer.momentum, [buffer.clone() for buffer in layer.buffers()]) for layer in layers]
    active = backbone._arch
    try:
        backbone.set_arch(arch)
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # a cumulative average instead of an exponential one
            layer.training = True
        _run_calibration(model, loader, autocast)
        for layer in layers:
            layer.training = False
        yield
    finally:
        backbone._arch = active
        for layer, momentum, buffers in kept:
            layer.momentum = momentum
            for buffer, before in zip(layer.buffers(), buffers):
                buffer.copy_(before)
        for module, training in modes:
            module.training = training


def active_bn_layers(model: BaseModel, arch: Sequence[int]) -> list[_BatchNorm]:
    """The BN layers with running statistics that the model runs for ``arch``: on the backbone's path, in the neck and in the head."""
    others = (child for child in model.children() if child is not model.backbone and child is not getattr(model, 'teacher', None))
    modules = chain.from_iterable(module.modules() for module in [*model.backbone.path(tuple(arch)), *others])
    return [module for module in modules if isinstance(module, _BatchNorm) and module.track_running_stats]


@torch.no_grad()
def _run_calibration(model: BaseModel, loader: DataLoader, autocast: torch.dtype | None) -> None:
    batches = 0
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        size = len(data['inputs'] if isinstance(data, dict) else data[0])
        if size < MIN_CALIBRATION_BATCH:
            raise InputError(f'a batch of {size} images for BN recalibration: expected at least {MIN_CALIBRATION_BATCH}')
        with _autocast(model, autocast):
            model._run_forward(data, mode='tensor')
        batches += 1
    if batches == 0:
        raise InputError('no data for BN recalibration: the calibration loader is empty')


def _autocast(model: nn.Module, dtype: torch.dtype | None) -> Any:
    device = next(model.parameters()).device.type
    return torch.autocast(device, dtype=dtype, enabled=dtype is not None)
