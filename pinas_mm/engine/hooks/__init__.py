from .arch_sampling_hook import ArchSamplingHook
from .arch_search_hook import ArchSearchHook
from .epoch_seed_hook import EpochSeedHook
from .knn_hook import KNNHook

__all__ = ['ArchSamplingHook', 'ArchSearchHook', 'EpochSeedHook', 'KNNHook']
