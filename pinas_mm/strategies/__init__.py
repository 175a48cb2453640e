"""How supernet weights are trained where one forward pass per step is not enough, and DSNAS, which
learns the arch beside them."""

from .arch_logits import ArchLogits
from .base import PathOptimWrapper, Strategy
from .dsnas import DSNAS, DSNASAmpOptimWrapper, DSNASOptimWrapper
from .fair import FairStrategy
from .sandwich import SandwichStrategy
from .subnet_aware import SubnetAwareAmpOptimWrapper, SubnetAwareOptimWrapper
from .supervised_pi import SupervisedPiStrategy

__all__ = [
    'ArchLogits',
    'DSNAS',
    'DSNASAmpOptimWrapper',
    'DSNASOptimWrapper',
    'FairStrategy',
    'PathOptimWrapper',
    'SandwichStrategy',
    'Strategy',
    'SubnetAwareAmpOptimWrapper',
    'SubnetAwareOptimWrapper',
    'SupervisedPiStrategy',
]
