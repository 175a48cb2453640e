from .label_likelihood import LabelLikelihood
from .task_metric import TaskMetric

__all__ = ['LabelLikelihood', 'TaskMetric']
