from .backbones import (
    SearchableBackbone,
    SearchableMacroNet,
    SearchableNASBench201,
    SearchableResNeSt,
    SearchableShuffleNetV2,
)
from .heads import DropoutLinearClsHead, SemanticEncodingHead
from .selfsup import MeanTeacher, PiNAS

__all__ = [
    'DropoutLinearClsHead',
    'MeanTeacher',
    'PiNAS',
    'SearchableBackbone',
    'SearchableMacroNet',
    'SearchableNASBench201',
    'SearchableResNeSt',
    'SearchableShuffleNetV2',
    'SemanticEncodingHead',
]
