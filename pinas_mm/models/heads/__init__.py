from .semantic_encoding_head import SemanticEncodingHead

__all__ = ['SemanticEncodingHead']
