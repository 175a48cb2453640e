from .dropout_linear_cls_head import DropoutLinearClsHead
from .semantic_encoding_head import SemanticEncodingHead

__all__ = ['DropoutLinearClsHead', 'SemanticEncodingHead']
