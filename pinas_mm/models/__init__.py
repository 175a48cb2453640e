from .backbones import SearchableBackbone, SearchableMacroNet, SearchableNASBench201, SearchableResNeSt
from .heads import SemanticEncodingHead
from .selfsup import MeanTeacher, PiNAS

__all__ = ['MeanTeacher', 'PiNAS', 'SearchableBackbone', 'SearchableMacroNet', 'SearchableNASBench201', 'SearchableResNeSt',
           'SemanticEncodingHead']
