import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from pinas_mm.errors import InputError
from pinas_mm.registry import METRICS


def test_by_hand():
    metric = METRICS.build(dict(type='pinas_mm.LabelLikelihood'))
    probabilities, labels = [[0.7, 0.2, 0.1], [0.25, 0.25, 0.5], [0.0, 1.0, 0.0]], [0, 1, 1]
    samples = [
        DataSample().set_gt_label(label).set_pred_score(torch.tensor(scores)).to_dict()
        for scores, label in zip(probabilities, labels)
    ]
    metric.process(None, samples)
    found = metric.compute_metrics(metric.results)
    assert found['neg_loss'] == pytest.approx((np.log(0.7) + np.log(0.25) + 0) / 3)
    assert found['margin'] == pytest.approx(
        (np.log(0.7 / 0.2) + np.log(0.25 / 0.5) - np.log(np.finfo(np.float32).tiny)) / 3
    )


def test_a_label_of_probability_zero_is_bad_but_finite():
    metric = METRICS.build(dict(type='pinas_mm.LabelLikelihood'))
    metric.process(
        None, [DataSample().set_gt_label(0).set_pred_score(torch.tensor([0.0, 1.0])).to_dict()]
    )
    assert -90 < metric.compute_metrics(metric.results)['neg_loss'] < -80


@pytest.mark.parametrize(
    'sample',
    [
        DataSample().set_pred_score(torch.ones(3) / 3),
        DataSample().set_gt_label([0, 1]).set_pred_score(torch.ones(3) / 3),
        DataSample().set_gt_label(0),
    ],
)
def test_other_predictions(sample):
    with pytest.raises(InputError, match="needs 'pred_score' and exactly one 'gt_label'"):
        METRICS.build(dict(type='pinas_mm.LabelLikelihood')).process(None, [sample.to_dict()])
