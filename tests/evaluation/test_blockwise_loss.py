import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from pinas_mm.errors import InputError
from pinas_mm.evaluation import compute_metrics, merge_results
from pinas_mm.registry import METRICS


def metric_of(rows):
    metric = METRICS.build(dict(type='pinas_mm.BlockwiseLoss'))
    for row in rows:
        sample = DataSample()
        sample.set_field(torch.tensor(row), 'stage_losses')
        metric.process(None, [sample.to_dict()])
    return metric


def test_by_hand():
    metric = metric_of([[0.5, 2.0], [0.25, 1.0], [0.75, 3.0]])
    found = metric.compute_metrics(metric.results)
    assert metric.prefix == 'blockwise'
    assert found == dict(
        neg_log_loss=pytest.approx(-(np.log(0.5) + np.log(2.0))),
        neg_loss=pytest.approx(-2.5),
        neg_stage0=pytest.approx(-0.5),
        neg_stage1=pytest.approx(-2.0),
    )


def test_merged_results_give_the_same():
    metric = metric_of(torch.rand(7, 3).tolist())
    merged = merge_results(metric, merge_results(metric, metric.results[:4]) + metric.results[4:])
    assert len(merged) == 1
    assert compute_metrics(metric, merged) == compute_metrics(metric, metric.results)


def test_a_loss_of_zero_is_good_but_finite():
    metric = metric_of([[0.0, 1.0]])
    assert 80 < metric.compute_metrics(metric.results)['neg_log_loss'] < 90


def test_other_predictions():
    sample = DataSample().set_gt_label(1).to_dict()
    with pytest.raises(
        InputError, match="needs 'stage_losses' of every sample, .* has .'gt_label'"
    ):
        METRICS.build(dict(type='pinas_mm.BlockwiseLoss')).process(None, [sample])
