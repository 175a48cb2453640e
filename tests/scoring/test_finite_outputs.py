import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from mmpretrain.structures import DataSample
from torch import nn

from pinas_mm.scoring.finite_outputs import check_predictions, finite_features

NAN = float('nan')


class Backbone(nn.Module):
    def forward(self, x):
        return x, x + 1


def test_features_are_checked_once_the_backbone_has_run():
    backbone = Backbone()
    with finite_features(backbone):
        backbone(torch.ones(2))
    for wrong in (NAN, float('inf')):
        with pytest.raises(FloatingPointError, match='the features of the backbone are not finite'):
            with finite_features(backbone):
                backbone(torch.ones(2))
                backbone(torch.tensor([1.0, wrong]))
    assert not backbone._forward_hooks
    with pytest.raises(KeyError), finite_features(backbone):
        raise KeyError
    assert not backbone._forward_hooks


def test_predictions_of_any_task_are_checked_and_labels_are_not():
    good = DataSample().set_gt_label(1).set_pred_score(torch.ones(3))
    good.set_field(torch.tensor([NAN]), 'gt_age')
    check_predictions([good])
    # Classes that are masked out.
    check_predictions([DataSample().set_pred_score(torch.tensor([0.1, -float('inf')]))])
    with pytest.raises(FloatingPointError):
        check_predictions([DataSample().set_pred_score(torch.tensor([0.1, float('inf')]))])
    bad = DataSample().set_pred_score(torch.tensor([0.1, NAN]))
    boxes = DetDataSample(
        pred_instances=InstanceData(bboxes=torch.tensor([[0.0, 0, NAN, 1]]), labels=torch.ones(1))
    )
    for predictions, name in (
        ([good, bad], 'pred_score'),
        ([boxes], 'bboxes'),
        ((torch.ones(2), torch.tensor([float('inf')])), 'the output'),
    ):
        with pytest.raises(FloatingPointError, match=f'{name} of the model is not finite'):
            check_predictions(predictions)
