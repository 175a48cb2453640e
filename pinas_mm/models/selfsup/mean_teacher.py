"""The slowly moving teacher of Pi-NAS and its update along one path."""
import copy

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...spaces import Arch
from ..backbones import SearchableBackbone


class MeanTeacher(nn.Module):
    """A copy of backbone and neck whose parameters follow the student's.

    ``teacher = momentum * teacher + (1 - momentum) * student``, as in Pi-NAS (Peng et al., ICCV 2021, section 3.2) and MoCo.
    mmengine's ``ExponentialMovingAverage`` counts the other way round: its momentum is our ``1 - momentum``.

    Only parameters move. The teacher's BN statistics are its own, gathered in train mode and never copied.

    Args:
        backbone, neck: The student.
        momentum: How much of the teacher stays at each update, 0.999 as published.

    Raises:
        InputError: A momentum outside ``[0, 1]``.
    """

    def __init__(self, backbone: SearchableBackbone, neck: nn.Module, momentum: float = 0.999) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise InputError(f'momentum={momentum} of MeanTeacher: expected 0 to 1 (the share of the teacher that stays)')
        self.momentum = momentum
        self.backbone = copy.deepcopy(backbone)
        self.neck = copy.deepcopy(neck)
        self.requires_grad_(False)

    @torch.no_grad()
    def copy_student(self, backbone: SearchableBackbone, neck: nn.Module) -> None:
        """Makes the teacher equal to the student, BN statistics included: the start of training."""
        self.backbone.load_state_dict(backbone.state_dict())
        self.neck.load_state_dict(neck.state_dict())

    @torch.no_grad()
    def update(self, backbone: SearchableBackbone, neck: nn.Module, arch: Arch) -> None:
        """Moves the parameters on the path of ``arch`` and the neck's towards the student's; the others stay.

        On the path: the stem, the chosen candidate of every position with a shared shortcut where it has one, the tail.
        """
        teacher = _parameters([*self.backbone.path(arch), self.neck])
        student = _parameters([*backbone.path(arch), neck])
        torch._foreach_lerp_(teacher, student, 1 - self.momentum)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(N, 3, H, W)`` to embeddings ``(N, D)`` along the teacher backbone's active arch, not normalised."""
        return self.neck(self.backbone(x))[0]

    def init_weights(self) -> None:
        """Nothing: the teacher is copied from the student, never initialised by itself."""


def _parameters(modules: list[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]
