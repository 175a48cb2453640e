"""Validation and test of a supernet: given or seeded archs, each with recalibrated BN."""
import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.runner import BaseLoop, Runner

from ..registry import LOOPS
from ..search.evaluator import ArchEvaluator
from ..spaces import Arch
from .hooks.arch_sampling_hook import supernet_of
from .loaders import calibration_loader, whole_set_loader


def build_arch_evaluator(runner: Runner, dataloader: dict[str, Any], evaluator: Any, calibration_dataloader: dict[str, Any],
                         calibration_batches: int, num_samples: int | None = None, seed: int = 0, fp16: bool = False) -> ArchEvaluator:
    """An :class:`ArchEvaluator` of the runner's model from mm configs.

    Args:
        runner: The runner.
        dataloader: Dataloader config to score on.
        evaluator: Evaluator config: one metric or a list of them.
        calibration_dataloader: Dataloader config for BN recalibration, such as the training one.
        calibration_batches: Batches from it.
        num_samples: Score on only so many samples, drawn by ``seed``.
        seed: Seed of that draw and of the calibration samples.
        fp16: Whether to run in half precision.
    """
    return ArchEvaluator(
        runner.model,
        calibration_loader(calibration_dataloader, calibration_batches, seed),
        whole_set_loader(dataloader, num_samples, seed),
        lambda: runner.build_evaluator(copy.deepcopy(evaluator)),
        torch.float16 if fp16 else None)


@LOOPS.register_module()
class ArchValLoop(BaseLoop):
    """Scores a few archs of a supernet with recalibrated BN and logs each and their mean.

    A supernet's running statistics fit none of its archs, so an ordinary validation loop would show noise.

    Args:
        runner, dataloader, evaluator: As in mmengine's loops; every rank reads the whole set.
        calibration_dataloader: Dataloader config for BN recalibration, such as the training one.
        calibration_batches: Batches from it, 49 as published.
        archs: The archs, as lists or text. Defaults to ``num_archs`` drawn by ``seed``.
        num_archs: How many to draw.
        seed: Seed of the draw and of the calibration samples.
        fp16: Whether to run in half precision.
    """

    phase = 'val'

    def __init__(self, runner: Runner, dataloader: dict, evaluator: dict | list, calibration_dataloader: dict,
                 calibration_batches: int = 49, archs: Sequence[Sequence[int] | str] | None = None, num_archs: int = 3,
                 seed: int = 0, fp16: bool = False) -> None:
        space = supernet_of(runner).space
        self.archs: list[Arch] = [space.decode(arch) if isinstance(arch, str) else space.validate(arch) for arch in archs or []]
        rng = np.random.default_rng(seed)
        self.archs = self.archs or [space.sample(rng) for _ in range(num_archs)]
        self.arch_evaluator = build_arch_evaluator(
            runner, dataloader, evaluator, calibration_dataloader, calibration_batches, seed=seed, fp16=fp16)
        super().__init__(runner, self.arch_evaluator.loader)

    def run(self) -> dict[str, float]:
        """Evaluates the archs; returns the means of their metrics."""
        runner, space = self.runner, self.arch_evaluator.backbone.space
        runner.call_hook(f'before_{self.phase}')
        runner.call_hook(f'before_{self.phase}_epoch')
        scores = []
        for arch, metrics in zip(self.archs, self.arch_evaluator.evaluate(self.archs)):
            runner.logger.info(f'arch {space.encode(arch)}  ' + '  '.join(f'{name}: {value:.4f}' for name, value in metrics.items()))
            scores.append(metrics)
        mean = {name: float(np.mean([metrics[name] for metrics in scores])) for name in scores[0]}
        runner.call_hook(f'after_{self.phase}_epoch', metrics=mean)
        runner.call_hook(f'after_{self.phase}')
        return mean


@LOOPS.register_module()
class ArchTestLoop(ArchValLoop):
    """The same as :class:`ArchValLoop`, for ``test_cfg``."""

    phase = 'test'
