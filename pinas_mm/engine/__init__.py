from .active_gradients import ActiveGradientDataParallel
from .arch_loops import ArchTestLoop, ArchValLoop
from .hooks import ArchSamplingHook, ArchSearchHook, KNNHook
from .search_loop import SearchLoop

__all__ = ['ActiveGradientDataParallel', 'ArchSamplingHook', 'ArchSearchHook', 'ArchTestLoop', 'ArchValLoop', 'KNNHook', 'SearchLoop']
