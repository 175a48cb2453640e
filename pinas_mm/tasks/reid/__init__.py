"""Person re-identification."""

from .identity_sampler import IdentitySampler
from .pack_reid_image import PackReIDImage
from .person_reid import PersonReID
from .reid_metric import ReIDMetric

__all__ = ['IdentitySampler', 'PackReIDImage', 'PersonReID', 'ReIDMetric']
