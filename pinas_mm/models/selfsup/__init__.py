from .mean_teacher import MeanTeacher
from .pinas import PiNAS

__all__ = ['MeanTeacher', 'PiNAS']
