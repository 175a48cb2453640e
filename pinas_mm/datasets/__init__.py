from .cached_image import LoadCachedImage
from .class_folders import ClassFolders
from .digit_clutter import DigitClutter
from .digits import Digits
from .seeded_samples import SeededSamples
from .seeded_split import SeededSplit
from .unsharded_sampler import UnshardedSampler

__all__ = [
    'ClassFolders',
    'DigitClutter',
    'Digits',
    'LoadCachedImage',
    'SeededSamples',
    'SeededSplit',
    'UnshardedSampler',
]
