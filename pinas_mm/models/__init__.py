"""What runs: searchable backbones, heads of general use, self-supervised learning."""

from .backbones import *  # noqa: F403
from .backbones import __all__ as _backbones
from .heads import DropoutLinearClsHead
from .selfsup import MeanTeacher, PiNAS

__all__ = ['DropoutLinearClsHead', 'MeanTeacher', 'PiNAS', *_backbones]
