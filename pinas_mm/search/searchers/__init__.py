from .base import Searcher
from .evolution import EvolutionSearcher
from .partition_tree import PartitionTreeSearcher
from .random import RandomSearcher

__all__ = ['EvolutionSearcher', 'PartitionTreeSearcher', 'RandomSearcher', 'Searcher']
