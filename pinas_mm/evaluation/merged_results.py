"""Results of metrics that need only sums: merged into one, so that they do not grow with the
images."""

import functools
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from numpy.typing import NDArray


class SummedMetric(BaseMetric):
    """A metric that is a function of sums over the samples.

    :meth:`process` appends to ``results`` one array ``(K, )`` of float64 per sample; these are
    added one after another, so that sums of sums are bit-equal to the sums of all samples.
    """

    @abstractmethod
    def of_sums(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """The metrics.

        Args:
            sums: ``(K, )``, over all samples.
        """

    def compute_metrics(self, results: list[NDArray[np.float64]]) -> dict[str, float]:
        """The metrics of the results that :meth:`process` collected, merged or not."""
        return self.of_sums(_sum(results))

    def merge_results(self, results: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """One result that stands for all of these."""
        return [_sum(results)]


@dataclass(frozen=True)
class AccuracyCounts:
    """A result that stands for many of mmpretrain's ``Accuracy``.

    Args:
        samples: Of how many.
        right: By name of the metric, how many of them are right.
    """

    samples: int
    right: dict[str, int]

    def metrics(self) -> dict[str, float]:
        """What ``Accuracy`` computes, bit by bit, up to 2**24 samples: it counts in float32."""
        return {
            name: torch.tensor([count], dtype=torch.float32).mul_(100.0 / self.samples).item()
            for name, count in self.right.items()
        }


def merge_results(metric: BaseMetric, results: list[Any]) -> list[Any]:
    """Results that :func:`compute_metrics` computes the same from, bit by bit: one where the metric
    needs only sums, else ``results`` as they are.

    The first result may be one that was merged before. Merged are results of mmpretrain's
    ``Accuracy``, mmseg's ``IoUMetric`` and of metrics with a method ``merge_results(results)``,
    such as :class:`SummedMetric`. Not for results that mmengine gathers from several ranks: those
    are counted by the sample.
    """
    if not results:
        return results
    own: Callable[[list[Any]], list[Any]] | None = getattr(metric, 'merge_results', None)
    if own is not None:
        return own(results)
    merge = _MERGES.get(f'{type(metric).__module__}.{type(metric).__qualname__}')
    return results if merge is None else merge(metric, results)


def compute_metrics(metric: BaseMetric, results: list[Any]) -> Mapping[str, Any] | None:
    """What a metric computes of some results, merged or not."""
    if results and isinstance(results[0], AccuracyCounts):
        (counts,) = _merge_accuracy(metric, results)
        return counts.metrics()
    return metric.compute_metrics(results)


def _sum(results: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return functools.reduce(np.add, results)


def _merge_accuracy(metric: BaseMetric, results: list[Any]) -> list[AccuracyCounts]:
    known, new = AccuracyCounts(0, {}), results
    if isinstance(results[0], AccuracyCounts):
        known, *new = results
    if not new:
        return [known]
    # By the metric itself, which breaks ties and applies thresholds in its own way: its
    # percentages of these samples are whole counts.
    samples = sum(len(result['gt_label']) for result in new)
    right = {
        name: round(value * samples / 100) + known.right.get(name, 0)
        for name, value in metric.compute_metrics(new).items()
    }
    return [AccuracyCounts(known.samples + samples, right)]


def _merge_areas(metric: BaseMetric, results: list[Any]) -> list[tuple[Any, ...]]:
    # In the order in which the metric adds them.
    return [tuple(sum(areas) for areas in zip(*results))]


# By path: mmseg may not be installed. Only these classes themselves: a subclass may compute
# anything.
_MERGES: dict[str, Callable[[BaseMetric, list[Any]], list[Any]]] = {
    'mmpretrain.evaluation.metrics.single_label.Accuracy': _merge_accuracy,
    'mmseg.evaluation.metrics.iou_metric.IoUMetric': _merge_areas,
}
