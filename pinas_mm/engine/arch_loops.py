"""Validation and test of a supernet: given or seeded archs, each with recalibrated BN."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import DataLoader

from ..errors import InputError
from ..models.backbones import supernet_of
from ..registry import LOOPS
from ..scoring.evaluator import ArchEvaluator
from ..search.search import Evaluate, Failure
from ..spaces import Arch
from .loaders import arch_evaluation, calibration_loader, whole_set_loader


def build_arch_evaluator(
    runner: Runner,
    calibration: DataLoader,
    loader: DataLoader,
    evaluator: Any,
    autocast: str | None = None,
    **kwargs: Any,
) -> ArchEvaluator:
    """An :class:`ArchEvaluator` of the runner's model.

    Args:
        runner: The runner.
        calibration: Batches for BN recalibration.
        loader: Batches to score on.
        evaluator: Evaluator config: one metric or a list of them.
        autocast: ``'bfloat16'`` or ``'float16'``; None for full precision.
        kwargs: Further arguments of :class:`ArchEvaluator`.

    Raises:
        InputError: Another dtype.
    """
    if autocast not in (None, 'bfloat16', 'float16'):
        raise InputError(f"autocast={autocast!r}, expected 'bfloat16', 'float16' or None")
    dtype = None if autocast is None else getattr(torch, autocast)
    return ArchEvaluator(
        runner.model,
        calibration,
        loader,
        lambda: runner.build_evaluator(copy.deepcopy(evaluator)),
        dtype,
        **kwargs,
    )


def evaluate_on_ranks(
    evaluate: Evaluate, archs: Sequence[Arch]
) -> list[dict[str, float] | Failure]:
    """Evaluates archs, each rank a share of them, and gives all results to every rank.

    Neighbours in sorted order stay together, since they share most.

    Raises:
        RuntimeError: Another rank raised, or was given other archs.
    """
    if get_world_size() == 1:
        return list(evaluate(archs))
    order = sorted(range(len(archs)), key=archs.__getitem__)
    share = [int(i) for i in np.array_split(order, get_world_size())[get_rank()]]
    mine, own_error = {}, None
    try:
        mine = dict(zip(share, evaluate([archs[i] for i in share]), strict=True)) if share else {}
    except Exception as error:  # the others wait to hear from this rank
        own_error = error
    everyone = all_gather_object(
        (list(archs), mine, own_error and f'{type(own_error).__name__}: {own_error}')
    )
    if own_error is not None:
        raise own_error
    for rank, (others, _, error) in enumerate(everyone):
        if error is not None:
            raise RuntimeError(f'rank {rank} stopped with {error}')
        if others != list(archs):
            raise RuntimeError(
                f'rank {rank} was asked to evaluate other archs: the searchers do not agree'
            )
    results = {index: result for _, theirs, _ in everyone for index, result in theirs.items()}
    return [results[index] for index in range(len(archs))]


@LOOPS.register_module()
class ArchValLoop(BaseLoop):
    """Scores a few archs of a supernet with recalibrated BN and logs each and their mean.

    A supernet's running statistics fit none of its archs, so an ordinary validation loop would show
    noise.

    Args:
        runner, dataloader, evaluator: As in mmengine's loops; ranks share the archs, and each reads
            the whole set.
        calibration_dataloader, calibration_batches, autocast: How BN is recalibrated and in which
            precision archs run. Defaults to ``arch_evaluation`` of the config
            (:func:`~pinas_mm.engine.loaders.arch_evaluation`).
        archs: The archs, as lists or text. Defaults to ``num_archs`` drawn by ``seed``.
        num_archs: How many to draw.
        seed: Seed of the draw and of the calibration samples.

    Raises:
        InputError: A wrong arch, a model without a supernet, or no calibration data.
        RuntimeError: While running, an arch could not be evaluated.
    """

    phase = 'val'

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: dict | list,
        calibration_dataloader: dict | None = None,
        calibration_batches: int | None = None,
        archs: Sequence[Sequence[int] | str] | None = None,
        num_archs: int = 3,
        seed: int = 0,
        autocast: str | None = None,
    ) -> None:
        space = supernet_of(runner.model).space
        self.archs: list[Arch] = [
            space.decode(arch) if isinstance(arch, str) else space.validate(arch)
            for arch in archs or []
        ]
        rng = np.random.default_rng(seed)
        self.archs = self.archs or [space.sample(rng) for _ in range(num_archs)]
        settings = arch_evaluation(
            runner.cfg,
            calibration_dataloader=calibration_dataloader,
            calibration_batches=calibration_batches,
            autocast=autocast,
        )
        self.arch_evaluator = build_arch_evaluator(
            runner,
            calibration_loader(
                settings['calibration_dataloader'], settings['calibration_batches'], seed
            ),
            whole_set_loader(dataloader),
            evaluator,
            settings['autocast'],
        )
        super().__init__(runner, self.arch_evaluator.loader)

    def run(self) -> dict[str, float]:
        """Evaluates the archs; returns the means of their metrics."""
        runner, space = self.runner, self.arch_evaluator.backbone.space
        runner.call_hook(f'before_{self.phase}')
        runner.call_hook(f'before_{self.phase}_epoch')
        scores = []
        for arch, metrics in zip(
            self.archs, evaluate_on_ranks(self.arch_evaluator.evaluate, self.archs)
        ):
            if isinstance(metrics, Failure):
                raise RuntimeError(f'arch {space.encode(arch)}: {metrics.error}')
            runner.logger.info(
                f'arch {space.encode(arch)}  '
                + '  '.join(f'{name}: {value:.4f}' for name, value in metrics.items())
            )
            scores.append(metrics)
        mean = {name: float(np.mean([metrics[name] for metrics in scores])) for name in scores[0]}
        runner.call_hook(f'after_{self.phase}_epoch', metrics=mean)
        runner.call_hook(f'after_{self.phase}')
        return mean


@LOOPS.register_module()
class ArchTestLoop(ArchValLoop):
    """The same as :class:`ArchValLoop`, for ``test_cfg``."""

    phase = 'test'
