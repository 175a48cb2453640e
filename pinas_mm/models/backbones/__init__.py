from .macro_net import SearchableMacroNet
from .resnest import SearchableResNeSt
from .searchable import SearchableBackbone

__all__ = ['SearchableBackbone', 'SearchableMacroNet', 'SearchableResNeSt']
