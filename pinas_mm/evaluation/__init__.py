from .age_metric import AgeMetric
from .reid_metric import ReIDMetric
from .task_metric import TaskMetric

__all__ = ['AgeMetric', 'ReIDMetric', 'TaskMetric']
