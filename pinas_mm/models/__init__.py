from .backbones import SearchableBackbone, SearchableMacroNet, SearchableNASBench201, SearchableResNeSt, SearchableShuffleNetV2
from .heads import CoralAgeHead, DropoutLinearClsHead, ExpectedAgeHead, SemanticEncodingHead
from .selfsup import MeanTeacher, PiNAS

__all__ = ['CoralAgeHead', 'DropoutLinearClsHead', 'ExpectedAgeHead', 'MeanTeacher', 'PiNAS', 'SearchableBackbone', 'SearchableMacroNet',
           'SearchableNASBench201', 'SearchableResNeSt', 'SearchableShuffleNetV2', 'SemanticEncodingHead']
