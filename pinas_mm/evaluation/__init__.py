from .age_metric import AgeMetric
from .information_maximisation import InformationMaximisation
from .label_likelihood import LabelLikelihood
from .reid_metric import ReIDMetric
from .task_metric import TaskMetric

__all__ = ['AgeMetric', 'InformationMaximisation', 'LabelLikelihood', 'ReIDMetric', 'TaskMetric']
