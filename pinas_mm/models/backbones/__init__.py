from .macro_net import SearchableMacroNet
from .nasbench201_net import SearchableNASBench201
from .resnest import SearchableResNeSt
from .searchable import SearchableBackbone
from .shufflenetv2_net import SearchableShuffleNetV2
from .supernet import borrowed, searchable_backbone_of, supernet_of

__all__ = [
    'SearchableBackbone',
    'SearchableMacroNet',
    'SearchableNASBench201',
    'SearchableResNeSt',
    'SearchableShuffleNetV2',
    'borrowed',
    'searchable_backbone_of',
    'supernet_of',
]
