from .backbones import SearchableBackbone, SearchableMacroNet, SearchableResNeSt
from .selfsup import MeanTeacher, PiNAS

__all__ = ['MeanTeacher', 'PiNAS', 'SearchableBackbone', 'SearchableMacroNet', 'SearchableResNeSt']
