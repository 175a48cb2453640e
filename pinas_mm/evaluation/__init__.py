from .blockwise_loss import BlockwiseLoss
from .label_likelihood import LabelLikelihood
from .merged_results import SummedMetric, compute_metrics, merge_results
from .task_metric import TaskMetric

__all__ = [
    'BlockwiseLoss',
    'LabelLikelihood',
    'SummedMetric',
    'TaskMetric',
    'compute_metrics',
    'merge_results',
]
