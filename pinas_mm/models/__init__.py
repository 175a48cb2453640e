from .backbones import SearchableBackbone, SearchableMacroNet, SearchableResNeSt
from .heads import SemanticEncodingHead
from .selfsup import MeanTeacher, PiNAS

__all__ = ['MeanTeacher', 'PiNAS', 'SearchableBackbone', 'SearchableMacroNet', 'SearchableResNeSt', 'SemanticEncodingHead']
