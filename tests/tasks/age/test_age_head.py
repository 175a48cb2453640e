"""What both age heads have in common: the range of ages, predictions, their place in a
MultiTaskHead and in a classifier."""

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample, MultiTaskDataSample

from pinas_mm.errors import InputError
from pinas_mm.tasks.age import CoralAgeHead, ExpectedAgeHead

HEADS = [ExpectedAgeHead, CoralAgeHead]


def features(count=6, channels=5):
    return (torch.randn(count, channels, generator=torch.Generator().manual_seed(0)),)


def faces(ages):
    return [DataSample(metainfo=dict(img_path=f'{age}.jpg')).set_gt_label(age) for age in ages]


@pytest.mark.parametrize('head', HEADS)
def test_predictions_are_in_years_within_the_range(head):
    torch.manual_seed(0)
    head, scale = (
        head(5, ages=(16, 24)),
        torch.tensor([[1.0], [-1.0], [100.0], [-100.0], [3.0], [0.1]]),
    )
    inputs = (features()[0] * scale,)
    for dtype in (torch.float32, torch.bfloat16):
        found = head.to(dtype).predict((inputs[0].to(dtype),), faces(range(16, 22)))
        for age, sample in zip(range(16, 22), found):
            assert sample.gt_label.item() == age and sample.img_path == f'{age}.jpg'
            assert (
                sample.pred_age.shape == (1,)
                and sample.pred_age.dtype == torch.float32
                and 16 <= sample.pred_age.item() <= 24
            )
            assert sample.pred_score.shape == (
                9,
            ) and sample.pred_score.sum().item() == pytest.approx(1)
    assert [sample.pred_age for sample in head.predict((inputs[0].to(dtype),))] == [
        sample.pred_age for sample in found
    ]


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('age', [15, 25])
def test_an_age_outside_the_range_names_the_file(head, age):
    head = head(5, ages=(16, 24))
    head.loss(features(2), faces([16, 24]))
    with pytest.raises(
        InputError,
        match=rf'^{age}.jpg: age {age}, expected 16 to 24 \(`ages` of {type(head).__name__}\)$',
    ):
        head.loss(features(3), faces([16, age, 30]))


@pytest.mark.parametrize('head', HEADS)
def test_wrong_ranges_and_mixed_images_are_named(head):
    for ages in ((20, 20), (30, 20), (-1, 20), (20,), (16, 20, 24), (16.5, 20)):
        with pytest.raises(
            InputError,
            match=rf'ages=.* of {head.__name__}: expected the youngest and the oldest age'
            r'|ages\.0=(-1|16.5): expected a whole number of at least 0',
        ):
            head(5, ages=ages)
    with pytest.raises(InputError, match=f'{head.__name__}: mixed images .* have no age'):
        head(5).loss(
            features(1), [DataSample().set_gt_label(3).set_gt_score(torch.ones(101) / 101)]
        )


@pytest.mark.parametrize('head', HEADS)
def test_within_a_head_of_several_tasks(head):
    """Losses and predictions of each task are those of its head alone on the samples that have
    it."""
    torch.manual_seed(0)
    init_default_scope('mmpretrain')
    both = MODELS.build(
        dict(
            type='mmpretrain.MultiTaskHead',
            in_channels=5,
            task_heads=dict(
                age=dict(type=f'pinas_mm.{head.__name__}', ages=(16, 24)),
                gender=dict(type='LinearClsHead', num_classes=2),
            ),
        )
    )
    alone = head(5, ages=(16, 24))
    alone.load_state_dict(both.task_heads['age'].state_dict())
    people = [MultiTaskDataSample() for _ in range(6)]
    for index, person in enumerate(people):
        person.set_field(DataSample().set_gt_label(index % 2), 'gender')
        if index not in (1, 4):
            person.set_field(faces([16 + index])[0], 'age')
    known = [0, 2, 3, 5]
    losses = both.loss(features(), people)
    assert torch.equal(
        losses['age_loss'],
        alone.loss((features()[0][known],), [people[i].age for i in known])['loss'],
    )
    assert losses['age_mask_size'] == 4 and losses['gender_mask_size'] == 6
    found, expected = both.predict(features(), people), alone.predict(features())
    for person, sample in zip(found, expected):
        assert torch.equal(
            person.age.pred_age, sample.pred_age
        ) and person.gender.pred_score.shape == (2,)
    assert [person.age.eval_mask for person in found] == [True, False, True, True, False, True]
