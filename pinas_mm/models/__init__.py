from .adaptation import CDAN, DANN, MMD, DomainAdaptiveClassifier, DomainDataPreprocessor
from .backbones import SearchableBackbone, SearchableMacroNet, SearchableNASBench201, SearchableResNeSt, SearchableShuffleNetV2
from .heads import CoralAgeHead, DropoutLinearClsHead, ExpectedAgeHead, SemanticEncodingHead
from .selfsup import MeanTeacher, PiNAS

__all__ = ['CDAN', 'CoralAgeHead', 'DANN', 'DomainAdaptiveClassifier', 'DomainDataPreprocessor', 'DropoutLinearClsHead',
           'ExpectedAgeHead', 'MMD', 'MeanTeacher', 'PiNAS', 'SearchableBackbone', 'SearchableMacroNet', 'SearchableNASBench201',
           'SearchableResNeSt', 'SearchableShuffleNetV2', 'SemanticEncodingHead']
