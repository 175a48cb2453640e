"""Validation and test of a supernet: given or seeded archs, each with recalibrated BN."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from mmengine.runner import BaseLoop, Runner

from ..console import LOG_ONLY
from ..models.backbones import supernet_of
from ..registry import LOOPS
from ..schema import Count, Seed
from ..scoring.distributed import evaluate_on_ranks
from ..scoring.evaluator import Autocast, build_arch_evaluator
from ..searching.search import Failure
from ..spaces import Arch
from ..spaces.subnet_file import read_arch
from .loaders import arch_evaluation, calibration_loader, whole_set_loader


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
        archs: The archs, each a list, text or a subnet file
            (:func:`~pinas_mm.spaces.subnet_file.read_arch`); one alone needs no list around it.
            Defaults to ``num_archs`` drawn by ``seed``.
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
        calibration_batches: Count | None = None,
        archs: Sequence[Sequence[int] | str | int | PathLike] | str | int | PathLike | None = None,
        num_archs: Count = 3,
        seed: Seed = 0,
        autocast: Autocast | None = None,
    ) -> None:
        space = supernet_of(runner.model).space
        source = f'archs of {type(self).__name__}'
        given: Any = archs or []
        # One alone: text, a file, or candidates. Of several, --cfg-options makes larger numbers.
        if not isinstance(given, list | tuple) or (
            given and all(isinstance(entry, int) and entry < 10 for entry in given)
        ):
            given = [given]
        self.archs: list[Arch] = [read_arch(arch, space, source)[0] for arch in given]
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
        runner, backbone = self.runner, self.arch_evaluator.backbone
        runner.call_hook(f'before_{self.phase}')
        runner.call_hook(f'before_{self.phase}_epoch')
        scores = []
        for arch, metrics in zip(
            self.archs,
            evaluate_on_ranks(self.arch_evaluator.evaluate, self.archs, backbone.sharing_key),
        ):
            if isinstance(metrics, Failure):
                raise RuntimeError(f'arch {backbone.space.encode(arch)}: {metrics.error}')
            runner.logger.info(
                f'arch {backbone.space.encode(arch)}  '
                + '  '.join(f'{name}: {value:.4f}' for name, value in metrics.items()),
                # While training their mean is enough for a terminal.
                extra=LOG_ONLY if self.phase == 'val' else {},
            )
            scores.append(metrics)
        # An arch that detects nothing has no metrics of mmdet's.
        shared = [name for name in scores[0] if all(name in metrics for metrics in scores)]
        mean = {name: float(np.mean([metrics[name] for metrics in scores])) for name in shared}
        runner.call_hook(f'after_{self.phase}_epoch', metrics=mean)
        runner.call_hook(f'after_{self.phase}')
        return mean


@LOOPS.register_module()
class ArchTestLoop(ArchValLoop):
    """The same as :class:`ArchValLoop`, for ``test_cfg``."""

    phase = 'test'
