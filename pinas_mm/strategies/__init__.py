"""How supernet weights are trained where one forward pass per step is not enough."""
from .base import PathOptimWrapper, Strategy
from .fair import FairStrategy
from .sandwich import SandwichStrategy
from .supervised_pi import SupervisedPiStrategy

__all__ = ['FairStrategy', 'PathOptimWrapper', 'SandwichStrategy', 'Strategy', 'SupervisedPiStrategy']
