from .macro_net import SearchableMacroNet
from .nasbench201_net import SearchableNASBench201
from .resnest import SearchableResNeSt
from .searchable import SearchableBackbone

__all__ = ['SearchableBackbone', 'SearchableMacroNet', 'SearchableNASBench201', 'SearchableResNeSt']
