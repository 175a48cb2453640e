"""Racing: archs that are statistically out of the top k are dropped while batches come in (after
Maron and Moore, NeurIPS 1993)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.evaluation import Accuracy
from pydantic import Field
from scipy.stats import norm

from ..errors import InputError, TooFewSamplesError
from ..schema import Count, Expected, check_when_made
from ..spaces import Arch
from .arch_metrics import ArchMetrics, as_number, compute, named

# Below this many samples the mean of differences is not near enough to normal for the test.
MIN_SAMPLES = 100


@check_when_made
@dataclass(frozen=True)
class Race:
    """When an arch is dropped: where at least ``top_k`` others are better with statistical
    significance.

    All archs see the same samples, so the test is a paired one, a z-test on the mean difference per
    sample. With probability ``confidence`` no arch of the true top k is dropped in a whole
    evaluation (a union bound over all pairs and batches). For metrics that are means over samples.
    The samples must come in random order.

    Args:
        score: The metric to race for.
        top_k: Archs that must survive.
        confidence: See above; 0.95 is the usual choice, and the union bound makes it a careful one.

    Raises:
        InputError: A value out of range.
    """

    score: str
    top_k: Count = 10
    confidence: Annotated[
        float, Field(gt=0, lt=1), Expected('a probability above 0 and below 1', '0.95')
    ] = 0.95

    def start(self, archs: Iterable[Arch], num_batches: int) -> 'Standing':
        """A new race between ``archs`` over so many batches."""
        return Standing(self, list(archs), num_batches)


class Standing:
    """How the archs of one race stand: what a paired test needs of their values per sample."""

    def __init__(self, race: Race, archs: list[Arch], num_batches: int) -> None:
        self.race = race
        self.metric: int | None = None  # which of an arch's metrics gives the score
        self.numbers = {arch: number for number, arch in enumerate(archs)}
        self.batch: dict[Arch, np.ndarray] = {}  # values of the batch at hand
        self.samples = dict.fromkeys(archs, 0)
        # Sums over samples of each arch's values and of each pair's products, of values less the
        # arch's first: of numbers far from zero the variance would be lost.
        self.first: np.ndarray = np.zeros(len(archs))
        self.sums: np.ndarray = np.zeros(len(archs))
        self.products: np.ndarray = np.zeros((len(archs), len(archs)))
        tests = max(1, len(archs) * (len(archs) - 1) * num_batches)
        self.critical = norm.isf((1 - race.confidence) / tests)

    def add(self, arch: Arch, metrics: ArchMetrics) -> None:
        """Takes in the batch that the metrics of an arch have processed last.

        Raises:
            InputError: No metric gives the score, or it is not the mean of its samples' values.
            ValueError: The metrics compute no score of the batch, or a sample's value is not a
                number.
        """
        if self.metric is None:
            self.metric = metric_of(metrics, self.race.score)
        values: np.ndarray = np.empty(0)
        if self.metric is not None:
            results, image_ids = metrics.of_last_batch(self.metric)
            if results:
                metric = metrics.evaluator.metrics[self.metric]
                values = per_sample(metric, self.race.score, results, image_ids)
        self.batch[arch] = values
        self.samples[arch] += len(values)

    def losers(self, archs: Sequence[Arch]) -> list[Arch]:
        """Those of the archs still running that are out; all of them have seen the same samples,
        and every batch comes by here once."""
        if not archs or not (samples := self.samples[archs[0]]):
            return []
        rows = [self.numbers[arch] for arch in archs]
        pairs = np.ix_(rows, rows)
        values: np.ndarray = np.array([self.batch[arch] for arch in archs])
        if samples == values.shape[1]:
            self.first[rows] = values[:, 0]
        values -= self.first[rows, None]
        self.sums[rows] += values.sum(axis=1)
        self.products[pairs] += values @ values.T
        if samples < MIN_SAMPLES or len(archs) <= max(1, self.race.top_k):
            return []
        shifted = self.sums[rows] / samples
        means = self.first[rows] + shifted
        covariance = (self.products[pairs] - samples * np.outer(shifted, shifted)) / (samples - 1)
        ahead = means[None, :] - means[:, None]  # (arch, other): how far the other is ahead
        variance = np.maximum(
            covariance.diagonal()[:, None] + covariance.diagonal()[None, :] - 2 * covariance, 0
        )
        better = ahead > self.critical * np.sqrt(variance / samples)
        return [
            arch for arch, others in zip(archs, better.sum(axis=1)) if others >= self.race.top_k
        ]

    def report(self, arch: Arch) -> dict[str, float]:
        """``samples``: how many the score of an arch is the mean of."""
        return dict(samples=float(self.samples[arch]))


def per_sample(
    metric: BaseMetric, score: str, results: list[Any], image_ids: Sequence[Any]
) -> np.ndarray:
    """The metric's value for every sample, ``(len(results), )``.

    Raises:
        InputError: The metric is not the mean of its samples' values.
        ValueError: A value, or that of all samples, is not finite.
    """

    def value(results: list[Any], image_ids: Sequence[Any]) -> float:
        number = as_number(named(metric, compute(metric, results, image_ids)).get(score))
        return np.nan if number is None else number

    if (
        isinstance(metric, Accuracy)
        and score == f'{metric.prefix}/top1'
        and all('pred_score' in result for result in results)
    ):
        # Thousands of samples times archs: as one array.
        # topk as the metric has it, which breaks ties in its own way: half precision has many.
        predicted = (
            torch.stack([result['pred_score'] for result in results])
            .float()
            .topk(max(metric.topk), dim=1)
            .indices[:, 0]
        )
        values = 100.0 * (
            predicted == torch.cat([result['gt_label'] for result in results])
        ).double().numpy(force=True)
    else:
        values = np.array(
            [value([result], [image_id]) for result, image_id in zip(results, image_ids)]
        )
    whole = value(results, image_ids)
    if not np.isfinite([*values, whole]).all():
        raise ValueError(f'{score} of a sample is not finite')
    mean = (values / len(values)).sum()
    if not np.isclose(mean, whole, rtol=1e-4, atol=1e-4):
        raise InputError(
            f'race: {score} is {whole:g} over {len(results)} samples, but the mean of their own '
            f'values is {mean:g}; '
            'only metrics that are means over samples can be raced'
        )
    return values


def metric_of(metrics: ArchMetrics, score: str) -> int | None:
    """Which of the metrics gives the score; None where that cannot be seen yet, since one has too
    few samples. Several may have one prefix.

    Raises:
        InputError: None of them.
        ValueError: None of them, and one computed nothing.
    """
    names: list[str] = []
    too_few, nothing = False, []
    for number, metric in enumerate(metrics.evaluator.metrics):
        try:
            computed = named(metric, compute(metric, metric.results, metrics.image_ids))
        except TooFewSamplesError:
            too_few = True
            continue
        if score in computed:
            return number
        names += computed
        nothing += [] if computed else [type(metric).__name__]
    if too_few:
        return None
    if nothing:
        raise ValueError(f'no {score}: {", ".join(nothing)} computed nothing')
    raise InputError(f'race: no metric gives {score!r}, there are {sorted(names)}')
