from .arch_sampling_hook import ArchSamplingHook
from .arch_search_hook import ArchSearchHook
from .epoch_seed_hook import EpochSeedHook
from .knn_hook import KNNHook
from .prediction_picture_hook import PredictionPictureHook

__all__ = ['ArchSamplingHook', 'ArchSearchHook', 'EpochSeedHook', 'KNNHook', 'PredictionPictureHook']
