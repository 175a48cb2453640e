"""How supernet weights are trained where one forward pass per step is not enough."""
from .base import PathOptimWrapper, Strategy
from .fair import FairStrategy
from .sandwich import SandwichStrategy
from .subnet_aware import SubnetAwareAmpOptimWrapper, SubnetAwareOptimWrapper
from .supervised_pi import SupervisedPiStrategy

__all__ = [
    'FairStrategy', 'PathOptimWrapper', 'SandwichStrategy', 'Strategy', 'SubnetAwareAmpOptimWrapper', 'SubnetAwareOptimWrapper',
    'SupervisedPiStrategy'
]
