"""Scores archs with a supernet's weights and with what needs none, to be compared with true
accuracies."""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.models import BaseClassifier
from rich.progress import Progress, TaskID
from torch import Tensor

from ..checkpoint import load_checkpoint
from ..costs.cost import CostTable, measure_costs
from ..engine.arch_loops import build_arch_evaluator, evaluate_on_ranks
from ..engine.loaders import arch_evaluation, calibration_loader, whole_set_loader
from ..errors import InputError
from ..models.backbones import supernet_of
from ..ranking.zero_cost import zero_cost_scores
from ..scoring.evaluator import Metrics
from ..search.search import Failure
from ..spaces import Arch, SearchSpace
from ..strategies import ArchLogits, Strategy
from ..unwrap import unwrapped

# Archs evaluated together: they share what they have in common, and progress shows.
BATCH = 40
# Images of NASWOT's minibatch, as published.
MINIBATCH = 128


def check_ranking_config(config: Config) -> None:
    """Whether a config says how archs are scored.

    Raises:
        InputError: It lacks the held-out split, its metrics, or the calibration data.
    """
    missing = [
        name
        for name in ('arch_evaluation', 'val_dataloader', 'val_evaluator')
        if not config.get(name)
    ]
    if missing:
        raise InputError(
            f'{config.filename}: no {", ".join(missing)}: expected a config of a supernet with '
            f'its classifier, which has '
            'val_dataloader (the held-out split), val_evaluator and arch_evaluation = '
            'dict(calibration_dataloader=..., '
            'calibration_batches=...)'
        )


def supernet_scores(
    runner: Runner, archs: Sequence[Arch], seed: int = 0
) -> list[Metrics | Failure]:
    """The metrics of archs on the held-out split (``val_dataloader``), BN recalibrated; on all
    ranks together, the same on each.

    Classifiers are also scored by :class:`~pinas_mm.evaluation.LabelLikelihood`.

    Args:
        runner: A runner whose model holds the trained supernet.
        archs: The archs.
        seed: Seed of the calibration samples.

    Raises:
        InputError: The model has no supernet, or a loader has no data.
    """
    supernet_of(runner.model)
    config, settings = runner.cfg, arch_evaluation(runner.cfg)
    metrics = (
        config.val_evaluator
        if isinstance(config.val_evaluator, list | tuple)
        else [config.val_evaluator]
    )
    likelihood = dict(type='pinas_mm.LabelLikelihood')
    if isinstance(_mm_model(runner), BaseClassifier) and likelihood['type'] not in [
        metric['type'] for metric in metrics
    ]:
        metrics = [*metrics, likelihood]
    calibration = calibration_loader(
        settings.pop('calibration_dataloader'), settings.pop('calibration_batches'), seed
    )
    evaluator = build_arch_evaluator(
        runner, calibration, whole_set_loader(config.val_dataloader), list(metrics), **settings
    )
    results: list[Metrics | Failure] = []
    order = sorted(range(len(archs)), key=archs.__getitem__)  # neighbours share most
    with Progress(transient=True, disable=not is_main_process()) as progress:
        task = progress.add_task('supernet', total=len(archs))
        for start in range(0, len(archs), BATCH):
            batch = [archs[i] for i in order[start : start + BATCH]]
            evaluator.on_progress = partial(_advance, progress, task, start, len(batch))
            results += evaluate_on_ranks(evaluator.evaluate, batch)
    return [result for _, result in sorted(zip(order, results), key=lambda pair: pair[0])]


def baseline_scores(
    runner: Runner, archs: Sequence[Arch], seed: int = 0
) -> tuple[CostTable, dict[str, Any]]:
    """The costs of the supernet's archs, and their scores by
    :func:`~pinas_mm.ranking.zero_cost.zero_cost_scores`.

    Args:
        runner: A runner; its model's weights are not read.
        archs: The archs.
        seed: Seed of NASWOT's minibatch of the calibration data, whose image size is also that of
            the costs.
    """
    backbone = supernet_of(runner.model)
    images = _minibatch(runner, seed)
    costs = measure_costs(runner.model, tuple(images.shape[-2:]))
    with Progress(transient=True, disable=not is_main_process()) as progress:
        task = progress.add_task('zero-cost baselines')
        return costs, zero_cost_scores(
            backbone,
            archs,
            costs,
            images,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )


def dsnas_scores(
    checkpoint: str | os.PathLike, space: SearchSpace, archs: Sequence[Arch]
) -> np.ndarray | None:
    """The log probabilities that DSNAS gives archs, ``(len(archs), )``; None for a checkpoint
    without its logits.

    Raises:
        InputError: The logits are of another space.
    """
    state = (load_checkpoint(checkpoint).get('optimizer') or {}).get('dsnas')
    if state is None:
        return None
    logits = ArchLogits(space)
    logits.load_state_dict(state['logits'])
    return logits.log_probabilities(archs)


def _advance(
    progress: Progress, task: TaskID, before: int, size: int, done: int, total: int
) -> None:
    progress.update(task, completed=before + size * done / total)


@torch.no_grad()
def _minibatch(runner: Runner, seed: int) -> Tensor:
    loader = calibration_loader(arch_evaluation(runner.cfg)['calibration_dataloader'], 1, seed)
    return _mm_model(runner).data_preprocessor(next(iter(loader)), False)['inputs'][:MINIBATCH]


def _mm_model(runner: Runner) -> BaseModel:
    """The runner's model, without the wrapper for several ranks and the strategy that trained
    it."""
    model = unwrapped(runner.model)
    return model.model if isinstance(model, Strategy) else model
