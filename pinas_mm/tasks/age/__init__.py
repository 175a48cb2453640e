"""Age and gender from faces."""

from .age_gender_list import AgeGenderList
from .age_head import AgeHead
from .age_metric import AgeMetric
from .coral_age_head import CoralAgeHead
from .expected_age_head import ExpectedAgeHead
from .utkface import UTKFace

__all__ = ['AgeGenderList', 'AgeHead', 'AgeMetric', 'CoralAgeHead', 'ExpectedAgeHead', 'UTKFace']
