from .age_metric import AgeMetric
from .information_maximisation import InformationMaximisation
from .reid_metric import ReIDMetric
from .task_metric import TaskMetric

__all__ = ['AgeMetric', 'InformationMaximisation', 'ReIDMetric', 'TaskMetric']
