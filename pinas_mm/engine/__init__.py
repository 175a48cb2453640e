from .active_gradients import ActiveGradientDataParallel
from .arch_loops import ArchTestLoop, ArchValLoop
from .hooks import ArchSamplingHook, ArchSearchHook, EpochSeedHook, KNNHook, PredictionPictureHook
from .runner import SafeRunner
from .search_loop import SearchLoop

__all__ = [
    'ActiveGradientDataParallel',
    'ArchSamplingHook',
    'ArchSearchHook',
    'ArchTestLoop',
    'ArchValLoop',
    'EpochSeedHook',
    'KNNHook',
    'PredictionPictureHook',
    'SafeRunner',
    'SearchLoop',
]
