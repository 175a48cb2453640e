import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmpretrain.models.heads import MultiTaskHead
from mmpretrain.structures import DataSample, MultiTaskDataSample

from pinas_mm.errors import InputError
from pinas_mm.scoring.arch_metrics import ArchMetrics, empty_copy

GENDER = [dict(type='Accuracy'), dict(type='SingleLabelMetric', items=('recall',))]
METRICS = [dict(type='pinas_mm.TaskMetric', task='gender', metric=metric) for metric in GENDER] + [
    dict(type='pinas_mm.TaskMetric', task='age', metric=dict(type='pinas_mm.AgeMetric'))
]
# Gender: five men and one woman, one of each wrong; the last two faces have no gender, the first no
# age.
FACES = [
    (0, 0, None, 20.0),
    (0, 0, 31, 30.0),
    (0, 0, 38, 40.0),
    (0, 1, 50, 50.0),
    (0, 0, 50, 60.0),
    (1, 0, 20, 20.0),
    (None, 1, 20, 23.0),
    (None, 0, 25, 20.0),
]
EXPECTED = {
    'gender/top1': 100 * 4 / 6,
    'gender/recall': 100 * (4 / 5 + 0) / 2,
    'age/mae': (1 + 2 + 0 + 10 + 0 + 3 + 5) / 7,
    'age/neg_mae': -3,
    'age/cs@5': 100 * 6 / 7,
}


def predictions(faces=FACES):
    """What a MultiTaskHead gives: a task without a true label has a prediction too, marked as not
    to be evaluated."""
    found = []
    for true_gender, gender, true_age, age in faces:
        sample = MultiTaskDataSample()
        for task, true, predicted in (
            ('gender', true_gender, DataSample().set_pred_score(torch.eye(2)[gender])),
            ('age', true_age, DataSample(pred_age=torch.tensor([age]))),
        ):
            if true is not None:
                predicted.set_gt_label(true)
            predicted.set_field(true is not None, 'eval_mask', field_type='metainfo')
            sample.set_field(predicted, task)
        found.append(sample)
    return found


@pytest.fixture
def evaluator():
    init_default_scope('mmpretrain')
    return Evaluator(METRICS)


def test_by_hand_and_through_mm(evaluator):
    evaluator.process(predictions(FACES[:3]))
    evaluator.process(predictions(FACES[3:]))
    assert evaluator.evaluate(len(FACES)) == {
        name: pytest.approx(value) for name, value in EXPECTED.items()
    }


def test_archs_evaluated_beside_each_other_do_not_mix(evaluator):
    first, second = ArchMetrics(empty_copy(evaluator)), ArchMetrics(empty_copy(evaluator))
    for face in FACES:
        first.process(predictions([face]))
        second.process(predictions([(face[0], 0, face[2], 25.0)]))
    assert first.compute() == {name: pytest.approx(value) for name, value in EXPECTED.items()}
    # Second: every face a man of 25.
    assert second.compute() == {
        name: pytest.approx(value)
        for name, value in {
            'gender/top1': 100 * 5 / 6,
            'gender/recall': 50,
            'age/mae': 79 / 7,
            'age/neg_mae': -79 / 7,
            'age/cs@5': 100 * 3 / 7,
        }.items()
    }


def test_the_same_as_the_metric_of_mmpretrain(evaluator):
    """From predictions of a real head; its own metric has no results to compute from, which is why
    this one is."""
    torch.manual_seed(0)
    head = MultiTaskHead(
        dict(
            gender=dict(type='LinearClsHead', num_classes=2),
            age=dict(type='pinas_mm.ExpectedAgeHead'),
        ),
        in_channels=8,
    )
    faces = [MultiTaskDataSample() for _ in range(20)]
    for index, face in enumerate(faces):
        if index != 3:
            face.set_field(DataSample().set_gt_label(index % 2), 'gender')
        if index != 5:
            face.set_field(DataSample().set_gt_label(40 + index), 'age')
    with torch.no_grad():
        results = head.predict((torch.randn(20, 8),), faces)
    theirs = Evaluator(
        dict(
            type='MultiTasksMetric',
            task_metrics=dict(gender=GENDER, age=[dict(type='pinas_mm.AgeMetric')]),
        )
    )
    for metrics in (evaluator, theirs):
        metrics.process(results)
    expected, found = theirs.evaluate(20), evaluator.evaluate(20)
    assert found == {
        'gender/top1': expected['gender_accuracy/top1'],
        'gender/recall': expected['gender_single-label/recall'],
    } | {f'age/{name}': expected[f'age_age/{name}'] for name in ('mae', 'neg_mae', 'cs@5')}


def test_an_unknown_task_and_one_without_labels(evaluator):
    unknown = Evaluator(dict(type='pinas_mm.TaskMetric', task='race', metric=dict(type='Accuracy')))
    with pytest.raises(
        InputError, match=r"TaskMetric: no task 'race' in predictions of \['age', 'gender'\]"
    ):
        unknown.process(predictions())
    with pytest.raises(InputError, match="no task 'gender' in predictions of"):
        evaluator.process([DataSample().set_gt_label(0).set_pred_label(0)])
    evaluator.process(predictions(FACES[-2:]))
    with pytest.raises(InputError, match="no evaluated sample has a label of task 'gender'"):
        evaluator.evaluate(2)
