from .age_head import AgeHead
from .coral_age_head import CoralAgeHead
from .dropout_linear_cls_head import DropoutLinearClsHead
from .expected_age_head import ExpectedAgeHead
from .semantic_encoding_head import SemanticEncodingHead

__all__ = ['AgeHead', 'CoralAgeHead', 'DropoutLinearClsHead', 'ExpectedAgeHead', 'SemanticEncodingHead']
