import copy

import pytest
import torch
from torch import nn

from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet, SearchableResNeSt
from pinas_mm.models.selfsup import MeanTeacher

MOMENTUM = 0.9


def student_and_teacher(backbone_class):
    torch.manual_seed(0)
    backbone, neck = backbone_class(widen_factor=0.25), nn.Linear(8, 4)
    teacher = MeanTeacher(backbone, neck, MOMENTUM)
    for parameter in [*backbone.parameters(), *neck.parameters()]:
        parameter.data = torch.randn_like(parameter)
    return backbone, neck, teacher


@pytest.mark.parametrize('backbone_class', [SearchableMacroNet, SearchableResNeSt])
def test_update_moves_the_path_and_nothing_else(backbone_class):
    backbone, neck, teacher = student_and_teacher(backbone_class)
    before = copy.deepcopy(teacher.state_dict())
    arch = tuple(slot % min(backbone.space.num_candidates) for slot in range(backbone.space.num_slots))
    teacher.update(backbone, neck, arch)

    chosen = [f'layers.{i}.{choice}.' for i, choice in enumerate(arch)] + [f'layers.{i}.shortcut.' for i in range(len(arch))]
    student = dict(nn.ModuleDict(dict(backbone=backbone, neck=neck)).named_parameters())
    moved = 0
    for name, value in teacher.named_parameters():
        on_path = name.startswith(('backbone.stem.', 'backbone.tail.', 'neck.', *(f'backbone.{part}' for part in chosen)))
        expected = MOMENTUM * before[name] + (1 - MOMENTUM) * student[name] if on_path else before[name]
        torch.testing.assert_close(value, expected)
        moved += on_path
    assert 0 < moved < len(list(teacher.parameters()))


def test_update_copies_no_statistics():
    backbone, neck, teacher = student_and_teacher(SearchableMacroNet)
    before = {name: value.clone() for name, value in teacher.named_buffers()}
    for buffer in backbone.buffers():
        buffer.add_(1)
    teacher.update(backbone, neck, (1, ) * 8)
    assert all(torch.equal(value, before[name]) for name, value in teacher.named_buffers())


def test_copy_student_makes_them_equal_and_no_gradient_reaches_the_teacher():
    backbone, neck, teacher = student_and_teacher(SearchableMacroNet)
    teacher.copy_student(backbone, neck)
    assert all(torch.equal(a, b) for a, b in zip(teacher.backbone.state_dict().values(), backbone.state_dict().values()))
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


@pytest.mark.parametrize('momentum', [-0.1, 1.5])
def test_momentum_is_a_share(momentum):
    with pytest.raises(InputError, match=f'momentum={momentum}'):
        MeanTeacher(SearchableMacroNet(widen_factor=0.25), nn.Linear(8, 4), momentum)
