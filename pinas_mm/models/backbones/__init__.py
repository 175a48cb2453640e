from .macro_net import SearchableMacroNet
from .nasbench201_net import SearchableNASBench201
from .resnest import SearchableResNeSt
from .searchable import SearchableBackbone
from .shufflenetv2_net import SearchableShuffleNetV2

__all__ = ['SearchableBackbone', 'SearchableMacroNet', 'SearchableNASBench201', 'SearchableResNeSt', 'SearchableShuffleNetV2']
