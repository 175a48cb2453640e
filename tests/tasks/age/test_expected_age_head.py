import numpy as np
import pytest
import torch
from mmpretrain.models.heads import LinearClsHead
from mmpretrain.structures import DataSample
from scipy.special import log_softmax, softmax

from pinas_mm.tasks.age import ExpectedAgeHead

AGES = [16, 40, 23, 23, 31]


def given(**kwargs):
    """A head with weights that matter, features, and what a linear layer makes of them in NumPy."""
    torch.manual_seed(0)
    head = ExpectedAgeHead(7, ages=(16, 40), **kwargs)
    torch.nn.init.normal_(head.fc.weight)
    inputs = torch.randn(len(AGES), 7)
    logits = (
        inputs.double().numpy() @ head.fc.weight.detach().double().numpy().T
        + head.fc.bias.detach().double().numpy()
    )
    return head, (torch.zeros(1), inputs), logits


def test_the_prediction_is_the_expected_value():
    head, inputs, logits = given()
    probabilities = softmax(logits, axis=1)
    expected = [sum(year * p for year, p in zip(range(16, 41), row)) for row in probabilities]
    found = head.predict(inputs)
    np.testing.assert_allclose([sample.pred_age.item() for sample in found], expected, rtol=1e-5)
    np.testing.assert_allclose(
        torch.stack([sample.pred_score for sample in found]).detach(), probabilities, atol=1e-6
    )
    assert head(inputs).shape == (5, 25)


@pytest.mark.parametrize('weight', [1.0, 0.5])
def test_the_loss_is_the_cross_entropy(weight):
    head, inputs, logits = given(loss=dict(type='CrossEntropyLoss', loss_weight=weight))
    loss = head.loss(inputs, [DataSample().set_gt_label(age) for age in AGES])
    expected = -np.mean([row[age - 16] for age, row in zip(AGES, log_softmax(logits, axis=1))])
    assert loss.keys() == {'loss'} and loss['loss'].item() == pytest.approx(
        weight * expected, rel=1e-5
    )


def test_it_is_a_linear_classifier_of_101_years_by_default():
    head = ExpectedAgeHead(7)
    LinearClsHead(101, 7).load_state_dict(head.state_dict(), strict=True)
    head.init_weights()
    assert head.fc.weight.std().item() == pytest.approx(0.01, rel=0.1) and not head.fc.bias.any()
    assert head.predict((torch.zeros(1, 7),))[0].pred_age.item() == pytest.approx(50)
