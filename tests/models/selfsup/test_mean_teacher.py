import copy

import pytest
import torch
from torch import nn

from pinas_mm.errors import InputError
from pinas_mm.models.backbones import (
    SearchableMacroNet,
    SearchableNASBench201,
    SearchableResNeSt,
    SearchableShuffleNetV2,
)
from pinas_mm.models.selfsup import MeanTeacher

MOMENTUM = 0.9


def student_and_teacher(backbone_class):
    torch.manual_seed(0)
    student = nn.ModuleDict(
        dict(backbone=backbone_class(widen_factor=0.25), neck=nn.Linear(8, 4), head=nn.Linear(4, 2))
    )
    teacher = MeanTeacher(student, momentum=MOMENTUM)
    for parameter in student.parameters():
        parameter.data = torch.randn_like(parameter)
    return student, teacher


@pytest.mark.slow
@pytest.mark.parametrize(
    'backbone_class',
    [SearchableMacroNet, SearchableResNeSt, SearchableNASBench201, SearchableShuffleNetV2],
)
def test_update_moves_the_path_and_nothing_else(backbone_class):
    student, teacher = student_and_teacher(backbone_class)
    space, before = student.backbone.space, copy.deepcopy(teacher.state_dict())
    arch = tuple(slot % min(space.num_candidates) for slot in range(space.num_slots))
    teacher.update(student, arch)

    if backbone_class is SearchableNASBench201:
        chosen = ['layers.5.block.', 'layers.11.block.']
        chosen += [
            f'layers.{i}.{edge}.{choice}.' for i in range(17) for edge, choice in enumerate(arch)
        ]
    else:
        chosen = [f'layers.{i}.{choice}.' for i, choice in enumerate(arch)] + [
            f'layers.{i}.shortcut.' for i in range(len(arch))
        ]
    moved = 0
    for name, value in teacher.named_parameters():
        on_path = name.startswith(
            ('backbone.stem.', 'backbone.tail.', 'neck.', *(f'backbone.{part}' for part in chosen))
        )
        expected = (
            MOMENTUM * before[name] + (1 - MOMENTUM) * student.get_parameter(name)
            if on_path
            else before[name]
        )
        torch.testing.assert_close(value, expected)
        moved += on_path
    assert 0 < moved < len(list(teacher.parameters()))


def test_update_copies_no_statistics():
    student, teacher = student_and_teacher(SearchableMacroNet)
    before = {name: value.clone() for name, value in teacher.named_buffers()}
    for buffer in student.buffers():
        buffer.add_(1)
    teacher.update(student, (1,) * 8)
    assert all(torch.equal(value, before[name]) for name, value in teacher.named_buffers())


def test_copy_student_makes_them_equal_and_no_gradient_reaches_the_teacher():
    student, teacher = student_and_teacher(SearchableMacroNet)
    teacher.copy_student(student)
    ours, theirs = teacher.state_dict(), student.state_dict()
    assert ours.keys() == {name for name in theirs if not name.startswith('head.')}
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_it_runs_the_parts_it_was_given_in_their_order():
    torch.manual_seed(0)
    student = nn.Module()
    student.backbone, student.neck, student.pool = (
        SearchableMacroNet(widen_factor=0.125),
        None,
        nn.AdaptiveAvgPool2d(1),
    )
    student.head = nn.Sequential(nn.Flatten(), nn.Linear(160, 3))
    student.backbone.forward = lambda x, forward=student.backbone.forward: forward(x)[0]
    teacher = MeanTeacher(student, ('backbone', 'neck', 'pool', 'head'))
    images = torch.randn(4, 3, 32, 32)
    for model in (student, teacher):
        model.backbone.set_arch((1,) * 8)
    assert torch.equal(teacher(images), student.head(student.pool(student.backbone(images))))


@pytest.mark.parametrize('momentum', [-0.1, 1.5])
def test_momentum_is_a_share(momentum):
    with pytest.raises(InputError, match=f'momentum={momentum}'):
        MeanTeacher(
            nn.ModuleDict(
                dict(backbone=SearchableMacroNet(widen_factor=0.25), neck=nn.Linear(8, 4))
            ),
            momentum=momentum,
        )
