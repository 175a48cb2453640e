"""Scores archs with a supernet's weights and with what needs none, to be compared with true
accuracies."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.models import BaseClassifier
from rich.console import Console
from rich.progress import Progress, TaskID
from torch import Tensor

from ..checkpoint import load_checkpoint, load_state, load_strict
from ..costs import CostTable, measure_costs
from ..engine.loaders import arch_evaluation, calibration_loader, first_images, whole_set_loader
from ..errors import InputError
from ..evaluation import LabelLikelihood
from ..fileio import write_atomic
from ..models.backbones import supernet_of
from ..ranking.equal_cost import CostClass, EqualCost
from ..ranking.few_truths import POOL, FewTruths, archs_to_train
from ..ranking.ranking_report import EqualCostReport, RankingReport, write_scores
from ..ranking.score_corrections import macs_corrected, smoothed
from ..ranking.truth import TruthTable
from ..ranking.zero_cost import with_training_free, zero_cost_scores
from ..registry import METRICS, class_of
from ..scoring.arch_metrics import Metrics
from ..scoring.distributed import evaluate_on_ranks
from ..scoring.evaluator import build_arch_evaluator
from ..searching.search import Failure
from ..spaces import Arch, SearchSpace
from ..strategies import ArchLogits, Strategy
from ..unwrap import unwrapped

# Archs evaluated together: they share what they have in common, and progress shows.
BATCH = 40
# How many archs are ranked where nobody says it: of a sample, and of a class of equal cost; and how
# many truths the row few_truths learns from.
MOST_ARCHS, CLASS_ARCHS, FEW_TRUTHS = 120, 40, 30
SAMPLES = ('uniform', 'stratified')
EQUAL_COST = 'equal-cost'
Sampling = Literal['uniform', 'stratified', 'equal-cost', 'all']


@dataclass(frozen=True)
class ArchRanking:
    """How a supernet, and what needs no supernet, order archs of a truth table.

    Args:
        reports: For each sampling its report.
        table: The true accuracies.
        macs: The MACs of every arch that was scored.
        trained: Archs whose truth the row ``few_truths`` learned from.
        settings: ``checkpoint``, ``truth`` and ``seed``, as given.
        notes: What was left out and why, one sentence each.
    """

    reports: dict[str, RankingReport | EqualCostReport]
    table: TruthTable
    macs: dict[Arch, float]
    trained: list[Arch]
    settings: dict[str, Any]
    notes: list[str]

    def text(self) -> str:
        """The tables in Markdown."""
        return '\n'.join(report.text() for report in self.reports.values())

    def write(self, folder: str | os.PathLike, config: str | None = None) -> None:
        """Writes ``ranking.md``, the tables, and ``ranking.json``, all numbers.

        Args:
            folder: Where to.
            config: Name of the config, for the record.
        """
        text = self.text()
        write_atomic(Path(folder) / 'ranking.md', lambda file: file.write(text.encode()))
        header = dict(config=config) | self.settings
        header['trained'] = [self.table.space.encode(arch) for arch in self.trained]
        write_scores(Path(folder) / 'ranking.json', self.reports, self.table, self.macs, header)


def rank_archs(
    runner: Runner,
    truth: str | os.PathLike | TruthTable,
    checkpoint: str | os.PathLike | None = None,
    weights: Mapping[str, Tensor] | None = None,
    archs: int | None = None,
    class_archs: int = CLASS_ARCHS,
    sampling: Sampling = 'all',
    scores: Sequence[str] | None = None,
    few_truths: int = FEW_TRUTHS,
    seed: int = 0,
) -> ArchRanking | None:
    """Draws archs of a truth table, scores them in every way, and compares the orders; on all ranks
    together.

    Args:
        runner: A runner of the supernet with its classifier (:func:`check_ranking_config`).
        truth: The table of true accuracies, or its file.
        checkpoint: The supernet's weights; None for the baselines alone, which need none.
        weights: The same as tensors, in place of what the checkpoint holds.
        archs: How many archs a sample has. Defaults to 120, or all where the table has fewer.
        class_archs: How many a class of equal cost has, or all where it has fewer.
        sampling: How archs are drawn.
        scores: Metrics to rank by, higher is better. Defaults to all measured.
        few_truths: How many true accuracies of other archs the row ``few_truths`` learns from, 0
            for none.
        seed: Seed of the archs, the calibration samples and the intervals.

    Returns:
        The ranking; None on ranks but the first.

    Raises:
        InputError: A table, checkpoint or metric that does not fit.
    """
    space = supernet_of(runner.model).space
    table = truth if isinstance(truth, TruthTable) else TruthTable.read(truth, space)
    count = min(MOST_ARCHS, len(table.networks())) if archs is None else archs
    samples = {
        name: table.sample(count, seed, name) for name in SAMPLES if sampling in (name, 'all')
    }
    notes: list[str] = []
    classes: list[CostClass] = []
    left_out: list[str] = []
    if sampling in (EQUAL_COST, 'all'):
        costs = arch_costs(runner, seed).array('macs', table.networks())
        classes, left_out = EqualCost(table, costs).draw(class_archs, seed)
        if not classes and sampling == EQUAL_COST:
            raise InputError(f'{table.source}: {left_out[0]}')
    groups = [*samples.values(), *(members.archs for members in classes)]
    ranked = sorted({arch for group in groups for arch in group})
    trained = archs_with_known_truth(table, ranked, few_truths, seed, notes)
    measured, learned = {}, None
    if checkpoint is not None or weights is not None:
        if weights is not None:
            load_state(runner.model, dict(weights), 'supernet')
        elif checkpoint is not None:
            load_strict(runner.model, checkpoint)
        names = None if scores is None else list(scores)
        measured = metrics_by_name(runner, [*ranked, *trained], seed, names)
    if checkpoint is not None:
        learned = dsnas_scores(checkpoint, space, [*ranked, *trained])
    if not is_main_process():
        return None
    rankers, macs = all_rankers(runner, table, ranked, trained, measured, seed)
    if learned is not None:
        rankers['dsnas'] = dict(zip([*ranked, *trained], learned))
    source = f'(seed {seed}), {checkpoint or "no checkpoint"}'
    reports: dict[str, RankingReport | EqualCostReport] = {}
    for name, drawn in samples.items():
        title = f'{len(drawn)} archs of {table.source}, {name} {source}'
        values = {
            ranker: np.array([found[arch] for arch in drawn]) for ranker, found in rankers.items()
        }
        reports[name] = RankingReport.measure(title, drawn, table, values, seed)
    if classes:
        different = {arch for members in classes for arch in members.archs}
        title = (
            f'{len(different)} archs of {table.source}, in {len(classes)} classes of equal MACs '
            f'{source}'
        )
        reports[EQUAL_COST] = EqualCostReport.measure(
            title, classes, left_out, table, rankers, seed
        )
    elif left_out:
        notes.append(f'{EQUAL_COST} is left out: {left_out[0]}')
    given = dict(
        checkpoint=None if checkpoint is None else str(checkpoint),
        truth=str(table.source),
        seed=seed,
    )
    return ArchRanking(reports, table, macs, trained, given, notes)


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
    if isinstance(_mm_model(runner), BaseClassifier) and not any(
        issubclass(class_of(metric, METRICS, config.get('default_scope')), LabelLikelihood)
        for metric in metrics
    ):
        metrics = [*metrics, dict(type='pinas_mm.LabelLikelihood')]
    calibration = calibration_loader(
        settings.pop('calibration_dataloader'), settings.pop('calibration_batches'), seed
    )
    evaluator = build_arch_evaluator(
        runner, calibration, whole_set_loader(config.val_dataloader), list(metrics), **settings
    )
    results: list[Metrics | Failure] = []
    sharing_key = evaluator.backbone.sharing_key
    order = sorted(range(len(archs)), key=lambda index: sharing_key(archs[index]))
    with _progress() as progress:
        task = progress.add_task('supernet', total=len(archs))
        for start in range(0, len(archs), BATCH):
            batch = [archs[i] for i in order[start : start + BATCH]]
            evaluator.on_progress = partial(_advance, progress, task, start, len(batch))
            results += evaluate_on_ranks(evaluator.evaluate, batch, sharing_key)
    return [result for _, result in sorted(zip(order, results), key=lambda pair: pair[0])]


def arch_costs(runner: Runner, seed: int = 0) -> CostTable:
    """The costs of the supernet's archs, at the image size of the calibration data that the seed
    draws."""
    height, width = minibatch(runner, seed).shape[-2:]
    return measure_costs(runner.model, (height, width))


def baseline_scores(
    runner: Runner, archs: Sequence[Arch], seed: int = 0
) -> tuple[CostTable, dict[str, Any]]:
    """The costs of the supernet's archs, and their scores by
    :func:`~pinas_mm.ranking.zero_cost.zero_cost_scores`.

    Args:
        runner: A runner; its model's weights are not read.
        archs: The archs.
        seed: Seed of the minibatch of the calibration data that training-free scores look at.
    """
    backbone = supernet_of(runner.model)
    costs, images = arch_costs(runner, seed), minibatch(runner, seed)
    with _progress() as progress:
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


def archs_with_known_truth(
    table: TruthTable, ranked: list[Arch], count: int, seed: int, notes: list[str]
) -> list[Arch]:
    """Archs of the table whose true accuracy a ranker may know: none of those that are ranked, or
    none where the table has too few, which is added to ``notes``."""
    others = sorted(set(table.networks()) - set(ranked))
    if count == 0:
        return []
    if count > len(others):
        notes.append(
            f'few_truths is left out: {len(others)} networks of the table are not ranked, {count} '
            f'asked'
        )
        return []
    drawn = np.random.default_rng(seed).permutation(len(others))[: max(POOL, count)]
    return archs_to_train(table.space, [others[i] for i in drawn], count)


def metrics_by_name(
    runner: Runner, archs: list[Arch], seed: int, names: list[str] | None
) -> dict[str, np.ndarray]:
    """The supernet's scores of archs by metric, ``(len(archs), )`` each.

    Raises:
        InputError: An arch could not be evaluated, there is no such metric, or one is not finite.
    """
    space = supernet_of(runner.model).space
    results = supernet_scores(runner, archs, seed)
    failed = [
        (arch, result.error) for arch, result in zip(archs, results) if isinstance(result, Failure)
    ]
    scores = [result for result in results if not isinstance(result, Failure)]
    if failed:
        arch, error = failed[0]
        raise InputError(
            f'{len(failed)} of {len(archs)} archs could not be evaluated, the first is '
            f'{space.encode(arch)}: {error}'
        )
    known = list(dict.fromkeys(name for result in scores for name in result))
    for name in names or []:
        if name not in known:
            raise InputError(f'--scores {name}: expected one of {known}')
    for name in names or known:
        wrong = [
            arch for arch, result in zip(archs, scores) if not np.isfinite(result.get(name, np.nan))
        ]
        if wrong:
            raise InputError(
                f'{name} of {len(wrong)} of {len(archs)} archs is missing or not finite, the '
                f'first is {space.encode(wrong[0])}: the supernet has diverged; --scores names '
                f'other metrics'
            )
    return {name: np.array([result[name] for result in scores]) for name in names or known}


def all_rankers(
    runner: Runner,
    table: TruthTable,
    ranked: list[Arch],
    trained: list[Arch],
    scores: dict[str, np.ndarray],
    seed: int,
) -> tuple[dict[str, dict[Arch, float]], dict[Arch, float]]:
    """Every ranker's scores by arch, and MACs by arch."""
    archs, space = [*ranked, *trained], table.space
    costs, baselines = baseline_scores(runner, archs, seed)
    macs = costs.array('macs', archs).astype(float)
    rankers = dict(scores)
    smooth = {name: smoothed(space, archs, values) for name, values in scores.items()}
    rankers |= {f'{name}, smoothed': values for name, values in smooth.items()}
    rankers |= {
        f'{name}, MACs corrected': macs_corrected(values, macs) for name, values in scores.items()
    }
    rankers |= {
        f'{name}, smoothed + training-free': with_training_free(values, baselines)
        for name, values in smooth.items()
    }
    rankers |= baselines
    if trained:
        features = np.stack([*scores.values(), *baselines.values()], axis=1)
        model = FewTruths(
            space, trained, [table.mean(arch) for arch in trained], features[len(ranked) :]
        )
        rankers[f'few_truths ({len(trained)})'] = model.predict(archs, features)
    return {name: dict(zip(archs, values)) for name, values in rankers.items()}, dict(
        zip(archs, macs)
    )


def _progress() -> Progress:
    """Bars on standard error; nothing where that is no terminal."""
    console = Console(stderr=True)
    shown = is_main_process() and (console.is_terminal or console.is_jupyter)
    return Progress(console=console, transient=True, disable=not shown)


def _advance(
    progress: Progress, task: TaskID, before: int, size: int, done: int, total: int
) -> None:
    progress.update(task, completed=before + size * done / total)


def minibatch(runner: Runner, seed: int) -> Tensor:
    """Images of the calibration data as the backbone gets them, ``(N, C, H, W)``."""
    config = arch_evaluation(runner.cfg)['calibration_dataloader']
    return first_images(runner.model, config, seed)


def _mm_model(runner: Runner) -> BaseModel:
    """The runner's model, without the wrapper for several ranks and the strategy that trained
    it."""
    model = unwrapped(runner.model)
    return model.model if isinstance(model, Strategy) else model
