"""The mm metrics of archs that are scored side by side: each arch has its own."""

import copy
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric, Evaluator

Metrics = dict[str, float]


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


def compute_metrics(evaluator: Evaluator) -> Metrics:
    """The metrics of what an mm evaluator has processed on this rank.

    Not ``Evaluator.evaluate``: that gathers every rank's results, and ranks hold different archs.
    """
    scores: Metrics = {}
    for metric in evaluator.metrics:
        prefix = f'{metric.prefix}/' if metric.prefix else ''
        computed = metric.compute_metrics(metric.results)
        metric.results.clear()
        # Not all that metrics give are numbers: a confusion matrix is not.
        numbers = {
            name: value
            for name, value in computed.items()
            if np.size(value) == 1 and not isinstance(value, str)
        }
        scores |= {f'{prefix}{name}': float(value) for name, value in numbers.items()}
    return scores
