"""The slowly moving teacher of Pi-NAS and its update along one path."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...private_api import lerp_each
from ...spaces import Arch
from ..backbones import ArchBackbone, searchable_backbone_of


class MeanTeacher(nn.Module):
    """A copy of parts of a student, by default backbone and neck, whose parameters follow the
    student's.

    ``teacher = momentum * teacher + (1 - momentum) * student``, as in Pi-NAS (Peng et al., ICCV
    2021, section 3.2) and MoCo. mmengine's ``ExponentialMovingAverage`` counts the other way round:
    its momentum is our ``1 - momentum``.

    Only parameters move. The teacher's BN statistics are its own, gathered in train mode and never
    copied.

    Args:
        student: A model with the parts below; its ``backbone`` is searchable. The teacher does not
            hold it.
        parts: The names of the student's children that the teacher copies, in the order they run,
            the backbone first. One may be None in the student.
        momentum: How much of the teacher stays at each update, 0.999 as published.

    Raises:
        InputError: A momentum outside ``[0, 1]``.
    """

    backbone: ArchBackbone

    def __init__(
        self,
        student: nn.Module,
        parts: Sequence[str] = ('backbone', 'neck'),
        momentum: float = 0.999,
    ) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise InputError(
                f'momentum={momentum} of MeanTeacher: expected 0 to 1 (the share of the teacher '
                f'that stays)'
            )
        self.momentum = momentum
        for part in parts:
            self.add_module(part, copy.deepcopy(getattr(student, part)))
        self.requires_grad_(False)

    @torch.no_grad()
    def copy_student(self, student: nn.Module) -> None:
        """Makes the teacher equal to the student, BN statistics included: the start of training."""
        for name, part in self.named_children():
            part.load_state_dict(getattr(student, name).state_dict())

    @torch.no_grad()
    def update(self, student: nn.Module, arch: Arch | None = None) -> None:
        """Moves the parameters on the path of ``arch`` and those of the other parts towards the
        student's; the rest stays. Without ``arch`` it moves all.

        On the path: the stem, the chosen candidate of every position with a shared shortcut where
        it has one, the tail."""
        lerp_each(
            self._active_parameters(self, arch),
            self._active_parameters(student, arch),
            1 - self.momentum,
        )

    def forward(self, x: Tensor) -> Any:
        """Images ``(N, C, H, W)`` to what the last part returns, along the teacher backbone's
        active arch."""
        for part in self.children():
            x = part(x)
        return x

    def init_weights(self) -> None:
        """Nothing: the teacher is copied from the student, never initialised by itself."""

    def _active_parameters(self, model: nn.Module, arch: Arch | None) -> list[Tensor]:
        backbone = searchable_backbone_of(model)
        others = [getattr(model, name) for name, _ in self.named_children() if name != 'backbone']
        return [
            parameter
            for module in [*([backbone] if arch is None else backbone.path(arch)), *others]
            for parameter in module.parameters()
        ]
