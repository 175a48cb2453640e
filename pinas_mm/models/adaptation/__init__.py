from .adversarial import CDAN, DANN
from .domain_adaptive_classifier import DomainAdaptiveClassifier
from .domain_data_preprocessor import DomainDataPreprocessor
from .mmd import MMD

__all__ = ['CDAN', 'DANN', 'DomainAdaptiveClassifier', 'DomainDataPreprocessor', 'MMD']
