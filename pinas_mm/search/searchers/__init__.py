from .base import Searcher
from .evolution import EvolutionSearcher
from .nsga2 import NSGA2Searcher
from .partition_tree import PartitionTreeSearcher
from .random import RandomSearcher

__all__ = [
    'EvolutionSearcher',
    'NSGA2Searcher',
    'PartitionTreeSearcher',
    'RandomSearcher',
    'Searcher',
]
