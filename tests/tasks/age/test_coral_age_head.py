"""CORAL against its definition in NumPy, and its promise: consistent ranks."""

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample
from scipy.optimize import minimize
from scipy.special import expit

from pinas_mm.tasks.age import CoralAgeHead

AGES = np.array([16, 22, 19, 19, 21, 17, 20])
FEATURES = np.random.default_rng(0).normal(size=(len(AGES), 4)) + 0.5 * AGES[:, None] / 22


def samples():
    return [DataSample().set_gt_label(int(age)) for age in AGES]


def loss_and_gradients(weights, biases):
    """Cao et al.: a classifier for each year but the last, whether the person is older; shared
    weights. A loop over all of them."""
    loss, weight_gradient, bias_gradient = 0.0, np.zeros_like(weights), np.zeros_like(biases)
    for x, age in zip(FEATURES, AGES):
        for k, year in enumerate(range(16, 22)):
            probability, older = expit(weights @ x + biases[k]), float(age > year)
            loss -= np.log(probability if older else 1 - probability) / len(AGES)
            weight_gradient += (probability - older) * x / len(AGES)
            bias_gradient[k] += (probability - older) / len(AGES)
    return loss, weight_gradient, bias_gradient


def given(weights, biases, **kwargs):
    head = CoralAgeHead(4, ages=(16, 22), **kwargs).double()
    head.fc.weight.data[0] = torch.tensor(weights)
    head.biases.data[:] = torch.tensor(biases)
    return head


@pytest.mark.parametrize('weight', [1.0, 0.5])
def test_the_loss_and_the_gradient_of_the_shared_weights(weight):
    rng = np.random.default_rng(1)
    weights, biases = rng.normal(size=4), rng.normal(size=6)
    head = given(weights, biases, loss_weight=weight)
    found = head.loss((torch.tensor(FEATURES),), samples())
    found['loss'].backward()
    loss, weight_gradient, bias_gradient = loss_and_gradients(weights, biases)
    assert found.keys() == {'loss'} and found['loss'].item() == pytest.approx(weight * loss)
    np.testing.assert_allclose(head.fc.weight.grad[0], weight * weight_gradient)
    np.testing.assert_allclose(head.biases.grad, weight * bias_gradient)


def test_one_weight_vector_and_a_bias_per_year_but_the_last():
    head = CoralAgeHead(4, ages=(16, 22))
    assert {name: tuple(parameter.shape) for name, parameter in head.named_parameters()} == {
        'fc.weight': (1, 4),
        'biases': (6,),
    }
    assert head((torch.zeros(3, 4),)).shape == (3, 6) and CoralAgeHead(4).biases.shape == (100,)
    targets = head.targets(torch.tensor([0, 2, 6])).int().tolist()
    assert targets == [[0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]]


def test_it_starts_from_ages_spread_evenly():
    head = CoralAgeHead(4, ages=(16, 22))
    head.init_weights()
    assert head.fc.weight.any() and head.fc.weight.abs().max() < 0.1
    (sample,) = head.predict((torch.zeros(1, 4),))
    np.testing.assert_allclose(sample.pred_score.detach(), np.full(7, 1 / 7), atol=1e-6)
    assert sample.pred_age == 19
    np.testing.assert_allclose(
        head.biases.detach(), np.log([6 / 1, 5 / 2, 4 / 3, 3 / 4, 2 / 5, 1 / 6]), atol=1e-6
    )


def test_the_age_is_the_number_of_years_that_are_probably_over():
    biases = np.array([3.0, 2.0, 1.0, -1.0, -2.0, -3.0])
    head = given([1.0, 0.0, 0.0, 0.0], biases)
    inputs = torch.zeros(4, 4, dtype=torch.float64)
    inputs[:, 0] = torch.tensor(
        [0.0, 1.5, -2.5, -3.0]
    )  # at a logit of 0, a probability of one half, a person is not older
    found = head.predict((inputs,))
    assert [sample.pred_age.item() for sample in found] == [19, 20, 17, 16]
    for x, sample in zip(inputs[:, 0].tolist(), found):
        older = [1, *expit(x + biases), 0]
        np.testing.assert_allclose(
            sample.pred_score.detach(), [older[k] - older[k + 1] for k in range(7)], atol=1e-6
        )


def test_training_orders_the_biases_and_so_the_ranks_of_every_image():
    """Theorem 1, from biases in the wrong order; the least loss is that which scipy finds."""
    start = np.linspace(-2, 2, 6)
    head = given(np.zeros(4), start)
    with torch.no_grad():
        assert (head((torch.zeros(1, 4, dtype=torch.float64),)).diff() > 0).all()
    decay = 1e-2  # bounds the weights: these few images could be told apart without error

    optimiser = torch.optim.LBFGS(head.parameters(), max_iter=200, line_search_fn='strong_wolfe')

    def closure():
        optimiser.zero_grad()
        loss = (
            head.loss((torch.tensor(FEATURES),), samples())['loss']
            + decay * (head.fc.weight**2).sum()
        )
        loss.backward()
        return loss

    optimiser.step(closure)

    def reference(x):
        loss, weight_gradient, bias_gradient = loss_and_gradients(x[:4], x[4:])
        return loss + decay * (x[:4] ** 2).sum(), np.concatenate(
            [weight_gradient + 2 * decay * x[:4], bias_gradient]
        )

    best = minimize(reference, np.concatenate([np.zeros(4), start]), jac=True)
    np.testing.assert_allclose(
        torch.cat([head.fc.weight[0], head.biases]).detach(), best.x, atol=1e-3
    )
    assert (head.biases.diff() <= 0).all()
    images = (
        torch.randn(100, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 10
    )
    older = head((images,)).sigmoid()
    assert (older.diff(dim=1) <= 0).all()
    # In order, so the age is also where the probability crosses one half.
    ages = [sample.pred_age.item() for sample in head.predict((images,))]
    assert ages == [
        16 + next((k for k, probability in enumerate(row) if probability <= 0.5), 6)
        for row in older.tolist()
    ]
    assert len(set(ages)) > 3


def test_from_equal_biases_each_step_keeps_the_order():
    head = given(np.zeros(4), np.zeros(6))
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(50):
        optimiser.zero_grad()
        head.loss((torch.tensor(FEATURES),), samples())['loss'].backward()
        optimiser.step()
        assert (head.biases.diff() <= 0).all()
