from .cached_image import LoadCachedImage
from .class_folders import ClassFolders
from .digits import Digits
from .gaussian_noise import GaussianNoise
from .seeded_samples import SeededSamples
from .seeded_split import SeededSplit
from .unsharded_sampler import UnshardedSampler

__all__ = [
    'ClassFolders',
    'Digits',
    'GaussianNoise',
    'LoadCachedImage',
    'SeededSamples',
    'SeededSplit',
    'UnshardedSampler',
]
