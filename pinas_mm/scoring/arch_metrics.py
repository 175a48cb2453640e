"""The mm metrics of archs that are scored side by side: each arch has its own."""

import copy
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.structures import BaseDataElement
from torch import Tensor

from ..errors import InputError, warn_once
from ..evaluation import compute_metrics, merge_results

Metrics = dict[str, float]
# Of a tensor or array, beside its data: the object itself and the allocator's share.
OBJECT_BYTES = 500


class NotCopyableError(Exception):
    """A metric holds something that two copies of it would have to share, such as a lock or a
    temporary folder."""


def empty_copy(evaluator: Evaluator, shared: Iterable[object] = ()) -> Evaluator:
    """A copy of an mm evaluator that has not processed anything yet. Nothing that the copy collects
    reaches the evaluator or another copy.

    Everything is copied, at any depth: results, tensors, arrays, counters, modules with buffers,
    metrics inside metrics. Whether a metric changes an attribute while it processes cannot be seen
    before, and one that archs share by mistake mixes their scores without an error. So the rule is
    the other way round: only what is known to be read-only is shared. That is

    - the meta information of the dataset,
    - indices of annotations, as pycocotools, lvis and mmdet's classes have them: any object with an
      attribute ``anns``. They can take gigabytes, and metrics only look things up in them;
    - what the caller names in ``shared``.

    An object of another kind that is large and read-only is shared where its class has a
    ``__deepcopy__`` that returns ``self``. Files that a metric writes to a path of its config are
    the same for every copy.

    Args:
        evaluator: An evaluator that has not processed anything.
        shared: Further objects that the copy shares with it.

    Raises:
        NotCopyableError: A metric holds something that cannot be copied. Build another evaluator in
            place of a copy.
    """
    held = list(_held(evaluator.metrics, set()))
    # A copy would have the same folder, with the files of all copies in it.
    folders = [item for item in held if isinstance(item, tempfile.TemporaryDirectory)]
    if folders:
        raise NotCopyableError(f'the temporary folder {folders[0].name}')
    indices = [item for item in held if hasattr(item, 'anns')]
    memo = {id(item): item for item in (evaluator.dataset_meta, *indices, *shared)}
    try:
        return copy.deepcopy(evaluator, memo)
    except Exception as error:  # each kind of handle raises another one
        raise NotCopyableError(str(error)) from error


def _held(value: Any, seen: set[int]) -> Iterator[Any]:
    """The attributes of a metric, those of the metrics among them, and what lists and dicts of them
    hold."""
    if isinstance(value, BaseMetric):
        items: Iterable[Any] = vars(value).values()
    elif isinstance(value, dict):
        items = value.values()
    else:
        items = value if isinstance(value, list | tuple) else ()
    for item in items:
        if id(item) not in seen:
            seen.add(id(item))
            yield item
            yield from _held(item, seen)


class ArchMetrics:
    """The metrics of one arch, of the samples it was given so far and of no others.

    mmdet's ``CocoMetric`` counts every image of its annotation file. So here it is told which were
    read: a held-out part, ``score_samples`` or a race leave images out.

    Args:
        evaluator: An evaluator of this arch's own that has processed nothing yet.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self.batches = 0
        self.image_ids: list[Any] = []  # one for each sample, where a metric must be told them
        self.empty: list[str] = []  # classes of the metrics that gave no result
        self.held_bytes = 0  # of results that cannot be merged, and grow with the samples
        self._before = [0] * len(evaluator.metrics)  # results that are not of the last batch
        self._images_before = 0

    def process(self, data_samples: Sequence[Any], data_batch: Any = None) -> None:
        """Takes a batch of predictions, as :meth:`mmengine.evaluator.Evaluator.process` does."""
        self._before = [len(metric.results) for metric in self.evaluator.metrics]
        self._images_before = len(self.image_ids)
        self.evaluator.process(data_samples=data_samples, data_batch=data_batch)
        self.batches += 1
        if any(map(counts_given_images, self.evaluator.metrics)):
            self.image_ids += [
                sample.get('img_id') if hasattr(sample, 'get') else None for sample in data_samples
            ]

    def of_last_batch(self, number: int) -> tuple[list[Any], list[Any]]:
        """The results of the metric of that number for the last batch, and for each the ``img_id``
        of its image, where a metric must be told them."""
        results = self.evaluator.metrics[number].results[self._before[number] :]
        return results, self.image_ids[self._images_before :] or [None] * len(results)

    def merge(self) -> None:
        """Makes one result of many for the metrics that need only sums; once after every batch."""
        for metric, before in zip(self.evaluator.metrics, self._before):
            merged = merge_results(metric, metric.results)
            if merged is metric.results:
                self.held_bytes += held_bytes(metric.results[before:])
            else:
                metric.results[:] = merged

    def compute(self) -> Metrics:
        """The metrics that are numbers.

        Not ``Evaluator.evaluate``: that gathers every rank's results, and ranks hold different
        archs.

        Raises:
            InputError: Two metrics give the same name.
        """
        scores: Metrics = {}
        for metric in self.evaluator.metrics:
            given = named(metric, compute(metric, metric.results, self.image_ids))
            if not given:
                self.empty.append(type(metric).__name__)
            computed = numbers(given)
            if shared := sorted(scores.keys() & computed.keys()):
                raise InputError(
                    f'two metrics give {shared[0]!r}, the second a {type(metric).__name__}: '
                    f"expected another name for one of them, such as prefix='second'"
                )
            scores |= computed
            metric.results.clear()
        return scores


def compute(
    metric: BaseMetric, results: list[Any], image_ids: Sequence[Any]
) -> Mapping[str, Any] | None:
    """What a metric computes of some results; the metric stays as it was.

    Args:
        metric: Any mm metric.
        results: Some of its ``results``.
        image_ids: ``img_id`` of the samples that these are of, for a metric that would otherwise
            count every image of its annotation file.
    """
    # It keeps the annotations that it makes of the first results, and the images that they are of.
    alone = copy.copy(metric)
    if counts_given_images(alone) and None not in image_ids:
        alone.img_ids = list(image_ids)
    return compute_metrics(alone, results)


def counts_given_images(metric: BaseMetric) -> bool:
    """Whether a metric counts the images of ``img_ids``, as mmdet's ``CocoMetric``, and is not told
    yet which. (mmdet gives ``img_ids`` to ``LVISMetric`` too, and lvis does not read it.)"""
    return (
        getattr(metric, 'img_ids', ()) is None
        and hasattr(metric, '_coco_api')
        and not hasattr(metric, '_lvis_api')
    )


def check_images_read(evaluator: Evaluator, num_images: int) -> None:
    """Whether every metric with annotations of its own counts what is read and nothing else.

    Args:
        evaluator: The metrics.
        num_images: How many samples are read.

    Raises:
        InputError: A metric would count images that are left out.
    """
    for metric in evaluator.metrics:
        # mmdet's panoptic metric has a folder where it scores each image as it comes.
        if counts_given_images(metric) or getattr(metric, 'tmp_dir', None) is not None:
            continue
        for index in _held([metric], set()):
            annotated = len(getattr(index, 'imgs', ())) if hasattr(index, 'anns') else num_images
            if annotated > num_images:
                raise InputError(
                    f'{type(metric).__name__} counts the {annotated} images of its annotations, '
                    f'and {num_images} are read: expected annotations of these alone and no '
                    f'score_samples, or a metric that counts what it is given, such as CocoMetric'
                )


def named(metric: BaseMetric, computed: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a metric computed, under the names that mmengine gives it: with the metric's prefix."""
    prefix = f'{metric.prefix}/' if metric.prefix else ''
    return {f'{prefix}{name}': value for name, value in (computed or {}).items()}


def numbers(metrics: Mapping[str, Any]) -> Metrics:
    """Those of some metrics that are one number each, as floats: numbers of Python and numpy, and
    tensors and arrays of one element. All else is left out (a confusion matrix, None, a dict of
    figures per class), and that is said once for each name."""
    found = {name: as_number(value) for name, value in metrics.items()}
    for name, number in found.items():
        if number is None:
            warn_once(
                f'metric {name!r} is a {type(metrics[name]).__name__} and not a number: it is left '
                f'out of the scores'
            )
    return {name: number for name, number in found.items() if number is not None}


def held_bytes(value: Any) -> int:
    """About how much memory a metric's results take: tensors and arrays, and what lists, dicts and
    mm's data elements hold of them. A tensor that is a view counts with its own elements: those of
    a batch share what is below them."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size() + OBJECT_BYTES
    if isinstance(value, np.ndarray):
        return value.nbytes + OBJECT_BYTES
    items: Iterable[Any] = ()
    if isinstance(value, BaseDataElement):
        items = (*value.all_values(),)
    elif isinstance(value, Mapping):
        items = (*value.keys(), *value.values())
    elif isinstance(value, list | tuple | set):
        items = value
    return sys.getsizeof(value) + sum(map(held_bytes, items))


def as_number(value: Any) -> float | None:
    """A number as a float, None for anything else."""
    if isinstance(value, Tensor):
        return float(value) if value.numel() == 1 and not value.is_complex() else None
    if isinstance(value, np.ndarray | np.generic):
        return float(value.item()) if value.size == 1 and value.dtype.kind in 'biuf' else None
    return float(value) if isinstance(value, int | float) else None
