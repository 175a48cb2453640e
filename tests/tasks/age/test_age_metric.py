import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from pinas_mm.errors import InputError
from pinas_mm.registry import METRICS


def samples(predicted, true):
    return [
        DataSample(pred_age=torch.tensor([p])).set_gt_label(t).to_dict()
        for p, t in zip(predicted, true)
    ]


def test_by_hand():
    metric = METRICS.build(dict(type='pinas_mm.AgeMetric'))
    # Errors of 0, 5, 5.5, 20 and 0.25 years.
    metric.process(None, samples([30.0, 25.0, 44.5], [30, 30, 39]))
    metric.process(None, samples([40.0, 50.25], [60, 50]))
    found = metric.compute_metrics(metric.results)
    assert found == dict(mae=pytest.approx(30.75 / 5), neg_mae=pytest.approx(-30.75 / 5)) | {
        'cs@5': pytest.approx(60)
    }


def test_through_mm_with_its_prefix():
    evaluator = Evaluator(dict(type='pinas_mm.AgeMetric'))
    evaluator.process([DataSample(pred_age=torch.tensor([35.0])).set_gt_label(30)])
    assert evaluator.evaluate(1) == {'age/mae': 5, 'age/neg_mae': -5, 'age/cs@5': 100}


@pytest.mark.parametrize(
    'sample',
    [
        DataSample().set_gt_label(30).set_pred_label(30),
        DataSample(pred_age=torch.tensor([30.0])),
        DataSample(pred_age=torch.tensor([30.0])).set_gt_label([30, 31]),
    ],
)
def test_other_predictions(sample):
    with pytest.raises(InputError, match="needs 'pred_age' and exactly one 'gt_label'"):
        METRICS.build(dict(type='pinas_mm.AgeMetric')).process(None, [sample.to_dict()])


def test_no_samples():
    with pytest.raises(InputError, match='AgeMetric: no sample with an age'):
        METRICS.build(dict(type='pinas_mm.AgeMetric')).compute_metrics([])
