"""Any mm metric on one task of a model of several tasks."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS as ROOT_METRICS

from ..errors import InputError, TooFewSamplesError
from ..registry import METRICS
from .merged_results import compute_metrics, merge_results


@METRICS.register_module()
class TaskMetric(BaseMetric):
    """Hands a metric the samples of one task, of those that mmpretrain's ``MultiTaskHead``
    predicts.

    In place of mmpretrain's ``MultiTasksMetric``: that computes nothing from given results, so that
    archs cannot be evaluated beside each other with it. Samples without a label of the task are
    left out, as there.

    Args:
        task: The task, as it is named in the head's ``task_heads``; the metric's prefix as well:
            ``gender/top1``.
        metric: Config of an mm metric.
        collect_device: As in every mm metric.

    Raises:
        InputError: While it processes: predictions without that task.
    """

    def __init__(self, task: str, metric: dict[str, Any], collect_device: str = 'cpu') -> None:
        super().__init__(collect_device, prefix=task)
        self.task = task
        self.metric: BaseMetric = ROOT_METRICS.build(metric)
        self.metric.results = self.results  # mm gathers the results of this metric over the ranks

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Takes the predictions of a ``MultiTaskHead``."""
        for sample in data_samples:
            if 'eval_mask' not in sample.get(self.task, ()):
                raise InputError(
                    f'TaskMetric: no task {self.task!r} in predictions of {sorted(sample)}, '
                    f'expected those of a '
                    '`MultiTaskHead` that has it in its `task_heads`'
                )
        self.metric.dataset_meta = self.dataset_meta
        self.metric.process(
            data_batch,
            [sample[self.task] for sample in data_samples if sample[self.task]['eval_mask']],
        )

    def compute_metrics(self, results: list) -> dict[str, Any]:
        """The metrics of the results that :meth:`process` collected.

        Raises:
            TooFewSamplesError: No sample had a label of the task.
        """
        if not results:
            raise TooFewSamplesError(
                f'TaskMetric: no evaluated sample has a label of task {self.task!r}'
            )
        return dict(compute_metrics(self.metric, results) or {})

    def merge_results(self, results: list[Any]) -> list[Any]:
        """Fewer results, where the metric needs only sums."""
        return merge_results(self.metric, results)
