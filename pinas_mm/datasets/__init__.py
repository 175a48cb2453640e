from .age_gender_list import AgeGenderList
from .cached_image import LoadCachedImage
from .digits import Digits
from .domain_pair import DomainPair
from .domain_sampler import DomainSampler
from .identity_sampler import IdentitySampler
from .pack_reid_image import PackReIDImage
from .person_reid import PersonReID
from .seeded_samples import SeededSamples
from .seeded_split import SeededSplit
from .unlabelled_domain import UnlabelledDomain
from .unsharded_sampler import UnshardedSampler
from .utkface import UTKFace

__all__ = [
    'AgeGenderList', 'Digits', 'DomainPair', 'DomainSampler', 'IdentitySampler', 'LoadCachedImage', 'PackReIDImage', 'PersonReID',
    'SeededSamples', 'SeededSplit', 'UTKFace', 'UnlabelledDomain', 'UnshardedSampler'
]
