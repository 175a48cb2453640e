"""How supernet weights are trained where one forward pass per step is not enough."""
from .base import PathOptimWrapper, Strategy
from .fair import FairStrategy

__all__ = ['FairStrategy', 'PathOptimWrapper', 'Strategy']
