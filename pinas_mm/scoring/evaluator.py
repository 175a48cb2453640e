"""Turns archs into scores with the supernet's weights: recalibrates BN, then runs the validation
metric.

One pass over the data serves many archs: each batch is read and decoded once, and what archs have
in common runs once."""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel, BaseTTAModel
from torch import nn
from torch.utils.data import DataLoader, Subset

from ..datasets.wrappers import metainfo
from ..errors import InputError, TooFewSamplesError, warn_once
from ..models.backbones import searchable_backbone_of
from ..searching.search import Failure
from ..spaces import Arch
from ..unwrap import unwrapped, without_ranks
from .arch_metrics import ArchMetrics, Metrics, NotCopyableError, check_images_read, empty_copy
from .bn_recalibration import (
    ArchError,
    RecalibratedSupernet,
    autocast,
    recalibrated_bn,
    supernet_borrowed,
)
from .finite_outputs import check_predictions, finite_features
from .race import Race

if TYPE_CHECKING:
    from mmengine.runner import Runner

# What archs may run in, besides full precision.
Autocast = Literal['bfloat16', 'float16']
# Enough for metrics that need several samples or classes.
FEW = 64
# What metrics may keep beside a supernet on a machine of 4 GB. The boxes that 8 archs find in the
# 5,000 validation images of COCO take a fifth of it (at most 100 an image).
RESULTS_MB = 1024


class TrainingFree(Protocol):
    """Measures archs without weights that were trained; such as
    :class:`pinas_mm.ranking.training_free.TrainingFreeScores`."""

    @property
    def names(self) -> Sequence[str]:
        """Of the scores."""

    def __call__(self, archs: Sequence[Arch]) -> Mapping[str, np.ndarray]:
        """The scores of archs by name, ``(len(archs), )`` each."""


class ArchEvaluator:
    """Scores archs of any mm model with a searchable backbone, by any mm metric.

    The scores are those of evaluating each arch alone, bit by bit on a CPU, whatever else is
    evaluated with it.

    Args:
        model: The model that holds the supernet; with test-time augmentation around it, its merged
            predictions are scored.
        calibration_loader: Batches for BN recalibration, the same at every pass; disjoint from
            ``loader``'s samples.
        loader: Batches to score on. Every rank reads the whole set.
        build_metrics: Makes an mm evaluator; every arch gets a copy of it, see :func:`empty_copy`,
            or, where it cannot be copied, another one.
        autocast: Dtype such as ``torch.bfloat16`` to run in, or None for full precision.
        share_prefixes: Whether what archs share runs once. The scores are equal either way.
        fold_bn: Whether BN is folded into convolutions for scoring: faster, and different by
            rounding.
        race: Drops archs while batches come in, see :class:`Race`; the scores of dropped archs are
            those of the samples they saw.
        on_progress: Called as ``on_progress(done, total)`` after every arch and batch.
        scores: The metrics that archs are compared by. An arch without one has failed where a
            metric computed nothing, as mmdet's do without a detection.
        training_free: What else is measured of archs, without the supernet's weights. Where it has
            all of ``scores``, nothing is evaluated with them.
        results_mb: Archs whose metrics would keep more than so many MB of results together are
            scored in several passes over the data; the scores are equal either way. Metrics that
            need only sums keep next to nothing and are not counted, and a race is not split.

    Raises:
        InputError: The model has no supernet, or a loader has no data.
    """

    def __init__(
        self,
        model: nn.Module,
        calibration_loader: DataLoader,
        loader: DataLoader,
        build_metrics: Callable[[], Evaluator],
        autocast: torch.dtype | None = None,
        share_prefixes: bool = True,
        fold_bn: bool = False,
        race: Race | None = None,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
        scores: Sequence[str] = (),
        training_free: TrainingFree | None = None,
        results_mb: float = RESULTS_MB,
    ) -> None:
        self.model: BaseModel = unwrapped(model)
        self.outer = without_ranks(model)
        self.backbone = searchable_backbone_of(self.model)
        for name, data in (('calibration', calibration_loader), ('scoring', loader)):
            if len(data) == 0:
                dataset: Any = data.dataset
                raise InputError(
                    f'the {name} loader has no batch: {len(dataset)} samples at batch size '
                    f'{data.batch_size}'
                )
        self.calibration_loader = calibration_loader
        self.loader = loader
        self.num_batches = len(loader)
        self.build_metrics = build_metrics
        self.metrics = self._new_metrics()  # to be copied: some read a large annotation file
        check_images_read(self.metrics, len(list(loader.sampler)))
        self.autocast = autocast
        self.share_prefixes = share_prefixes
        self.fold_bn = fold_bn
        self.race = race
        self.on_progress = on_progress
        self.scores = tuple(scores)
        self.training_free = training_free
        self.results_mb = results_mb
        # Of the last evaluation: what the metrics of one arch keep of a batch, at most.
        self.bytes_per_batch = 0
        self._steps = 0  # for the progress

    def evaluate(self, archs: Sequence[Arch]) -> list[Metrics | Failure]:
        """One dict of metrics per arch, in their order; a :class:`Failure` for an arch that raised.

        The supernet is left as it was, also after an error.
        """
        archs = [self.backbone.space.validate(arch, 'evaluate') for arch in archs]
        results: dict[Arch, Metrics | Failure] = {}
        alive = self.backbone.in_shared_order(archs)
        if self.without_weights:
            results = {arch: {} for arch in alive}
        else:
            with supernet_borrowed(
                self.model, self.share_prefixes, self.autocast, self.fold_bn
            ) as supernet:
                alive = self._recalibrate(supernet, alive, results)
                self._score(supernet, alive, results)
        self._add_training_free(results)
        return [results[arch] for arch in archs]

    @property
    def without_weights(self) -> bool:
        """Whether all scores are of archs that nobody trained, so that no supernet runs."""
        known = () if self.training_free is None else self.training_free.names
        return bool(self.scores) and all(name in known for name in self.scores)

    def _add_training_free(self, results: dict[Arch, Metrics | Failure]) -> None:
        if self.training_free is None:
            return
        for arch in sorted(results):
            metrics = results[arch]
            if isinstance(metrics, Failure):
                continue
            try:
                measured = self.training_free([arch])
            except InputError:
                raise
            except Exception as error:
                results[arch] = Failure.of(error)
                continue
            scores = {name: float(values[0]) for name, values in measured.items()}
            dead = [name for name, value in scores.items() if not np.isfinite(value)]
            if dead:
                reason = 'nothing flows through this arch, or it changes nothing'
                results[arch] = Failure(f'{dead[0]} is {scores[dead[0]]}: {reason}')
            else:
                results[arch] = metrics | scores

    def predict(self, batch: Any) -> Any:
        """The model's predictions for a batch. (mmengine's test-time augmentation has a test step
        alone.)"""
        if isinstance(self.outer, BaseTTAModel):
            return self.outer.test_step(batch)
        return self.model.val_step(batch)

    def check(self, key: str = 'val_evaluator') -> None:
        """Computes the metrics of one arch on two samples, or on 64 where they need more: what
        fails here would fail after hours of training or calibration.

        Args:
            key: Where the metrics stand in the config.

        Raises:
            InputError: A metric cannot be computed, or none gives one of ``scores``. A metric that
                gives no result (mmdet's, if nothing is detected) or that needs certain samples is
                accepted.
        """
        if self.without_weights:
            return
        arch = self.backbone.space.sample(np.random.default_rng(0))
        first = itertools.islice(
            self.calibration_loader.sampler, self.calibration_loader.batch_size
        )
        with recalibrated_bn(
            self.model, arch, _part(self.calibration_loader, first), self.autocast
        ):
            problem = self._problem(2) and self._problem(FEW)
        if problem:
            kinds = ', '.join(type(metric).__name__ for metric in self.metrics.metrics)
            raise InputError(f'{key} ({kinds}): {problem}')

    def _problem(self, num_samples: int) -> str | None:
        """Why the metrics of the active arch cannot be computed on so many samples."""
        order = list(self.loader.sampler)
        chosen = order[:: max(1, len(order) // num_samples)][:num_samples]
        metrics = self._own_metrics()
        for batch in _part(self.loader, chosen):
            with autocast(self.model, self.autocast), torch.no_grad():
                predictions = self.predict(batch)
            try:
                metrics.process(predictions, batch)
            except Exception as error:
                return f'it cannot take a sample: {_line(error)}'
        try:
            computed = metrics.compute()
        except TooFewSamplesError:
            return None
        except Exception as error:
            return f'it cannot be computed on {len(chosen)} samples: {_line(error)}'
        known = computed.keys() | (self.training_free.names if self.training_free else ())
        missing = [name for name in self.scores if name not in known]
        if not missing or metrics.empty:
            return None
        return f'score={missing[0]!r} is not among the metrics evaluated: {sorted(computed)}'

    @contextmanager
    def recalibrated(self, arch: Arch) -> Iterator[None]:
        """Within it, ``arch`` is active, the model in eval mode, and the arch's BN statistics are
        those of the calibration data."""
        with recalibrated_bn(self.model, arch, self.calibration_loader, self.autocast):
            yield

    def on_loaders(self, calibration_loader: Any, loader: Any) -> 'ArchEvaluator':
        """The same evaluator of other batches of the same datasets, without a race and without
        progress. Archs are split into passes as they would be for all batches."""
        other = copy.copy(self)
        other.calibration_loader, other.loader = calibration_loader, loader
        other.race, other.on_progress = None, lambda done, total: None
        return other

    def _recalibrate(
        self,
        supernet: RecalibratedSupernet,
        archs: list[Arch],
        results: dict[Arch, Metrics | Failure],
    ) -> list[Arch]:
        """Returns the archs that could be recalibrated."""
        while archs:
            try:
                for done in supernet.recalibrate(archs, self.calibration_loader):
                    self._progress(done, len(archs))
                break
            except ArchError as failure:
                # The others from the start: half a batch may be in statistics that archs share.
                results[failure.arch] = Failure.of(failure.__cause__)
                archs = [arch for arch in archs if arch != failure.arch]
        return archs

    def _score(
        self,
        supernet: RecalibratedSupernet,
        archs: list[Arch],
        results: dict[Arch, Metrics | Failure],
    ) -> None:
        """Scores archs side by side, in as many passes over the data as their metrics need."""
        self.bytes_per_batch, self._steps = 0, len(archs) * len(self.calibration_loader)
        left = archs
        while left:
            left = self._pass(supernet, left, len(archs), results)

    def _pass(
        self,
        supernet: RecalibratedSupernet,
        archs: list[Arch],
        total: int,
        results: dict[Arch, Metrics | Failure],
    ) -> list[Arch]:
        """Scores archs in one pass over the data; returns those whose results would not fit beside
        the others', untouched."""
        metrics: dict[Arch, ArchMetrics] = {}
        standing = None if self.race is None else self.race.start(archs, len(self.loader))
        running = list(archs)
        for batch in self.loader:
            if not running:  # every arch has failed
                break
            supernet.next_batch()
            with autocast(self.model, self.autocast):
                for arch in list(running):
                    if arch not in running:
                        continue
                    supernet.set_arch(arch)
                    own = metrics[arch] = metrics.get(arch) or self._own_metrics()
                    try:
                        with finite_features(self.backbone):
                            predictions = self.predict(batch)
                        check_predictions(predictions)
                        own.process(predictions, batch)
                        if standing is not None:
                            standing.add(arch, own)
                        own.merge()
                    except InputError:
                        raise
                    except Exception as error:
                        results[arch] = Failure.of(error)
                        running.remove(arch)
                        del metrics[arch]
                    else:
                        self.bytes_per_batch = max(
                            self.bytes_per_batch, own.held_bytes // own.batches
                        )
                    self._steps += 1
                    self._progress(self._steps, total)
                    for other in running[self._fitting(len(running)) :]:
                        running.remove(other)
                        if other in metrics:
                            self._steps -= metrics.pop(other).batches
            if standing is not None:
                for arch in standing.losers(running):
                    running.remove(arch)
                    results[arch] = self._computed(metrics.pop(arch), standing.report(arch))
        for arch in running:
            report = {} if standing is None else standing.report(arch)
            results[arch] = self._computed(metrics.pop(arch), report)
        return [arch for arch in archs if arch not in results]

    def _fitting(self, num_archs: int) -> int:
        """How many of so many archs can be scored side by side, as far as is known by now."""
        if not (needed := self.bytes_per_batch * self.num_batches):
            return num_archs
        fitting = min(num_archs, max(1, int(self.results_mb * 2**20 / needed)))
        # The archs of a race are compared with each other.
        most = fitting if self.race is None else num_archs
        if most * needed > self.results_mb * 2**20:
            warn_once(
                f'the metrics of {most} arch(s) keep more than {self.results_mb:g} MB of results'
                + ('' if self.race is None else ', which a race needs at once: lower ask_size')
            )
        return most

    def _computed(self, metrics: ArchMetrics, report: dict[str, float]) -> Metrics | Failure:
        """The metrics of an arch and what a race reports of it, or why it has none."""
        try:
            computed = metrics.compute()
        except InputError:
            raise
        except Exception as error:
            return Failure.of(error)
        known = computed.keys() | (self.training_free.names if self.training_free else ())
        missing = [name for name in self.scores if name not in known]
        if missing and metrics.empty:
            return Failure(f'no {missing[0]}: {", ".join(metrics.empty)} computed nothing')
        return computed | report

    def _own_metrics(self) -> ArchMetrics:
        """The metrics of one arch."""
        try:
            return ArchMetrics(empty_copy(self.metrics, shared=self.model.modules()))
        except NotCopyableError:
            return ArchMetrics(self._new_metrics())

    def _new_metrics(self) -> Evaluator:
        metrics = self.build_metrics()
        metrics.dataset_meta = metainfo(self.loader.dataset)
        return metrics

    def _progress(self, done: int, num_archs: int) -> None:
        self.on_progress(done, num_archs * (len(self.calibration_loader) + len(self.loader)))


def _part(loader: DataLoader, indices: Iterable[int]) -> DataLoader:
    """Some samples of a loader's dataset as the loader gives them, read in this process."""
    return DataLoader(
        Subset(loader.dataset, list(indices)), loader.batch_size, collate_fn=loader.collate_fn
    )


def _line(error: Exception) -> str:
    text = ' '.join(str(error).split())
    return text if isinstance(error, InputError) else f'{type(error).__name__}: {text}'


def build_arch_evaluator(
    runner: 'Runner',
    calibration: DataLoader,
    loader: DataLoader,
    evaluator: Any,
    autocast: Autocast | None = None,
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
    """
    return ArchEvaluator(
        runner.model,
        calibration,
        loader,
        lambda: runner.build_evaluator(copy.deepcopy(evaluator)),
        autocast_dtype(autocast),
        **kwargs,
    )


def autocast_dtype(name: Autocast | None) -> torch.dtype | None:
    """The dtype that a config's ``autocast`` names."""
    return None if name is None else getattr(torch, name)
