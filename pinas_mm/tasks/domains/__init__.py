"""Unsupervised domain adaptation: a labelled source, an unlabelled target."""

from .adversarial import CDAN, DANN
from .domain_adaptive_classifier import DomainAdaptiveClassifier
from .domain_data_preprocessor import DomainDataPreprocessor
from .domain_pair import DomainPair
from .domain_sampler import DomainSampler
from .information_maximisation import InformationMaximisation
from .mmd import MMD
from .unlabelled_domain import UnlabelledDomain

__all__ = [
    'CDAN',
    'DANN',
    'DomainAdaptiveClassifier',
    'DomainDataPreprocessor',
    'DomainPair',
    'DomainSampler',
    'InformationMaximisation',
    'MMD',
    'UnlabelledDomain',
]
