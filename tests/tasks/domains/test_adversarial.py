import math

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from pinas_mm.errors import InputError
from pinas_mm.tasks.domains import CDAN, DANN
from pinas_mm.tasks.domains.adversarial import reverse_gradient

C, K, N, M = 5, 3, 4, 6


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, generator=generator) for size in ((N, C), (M, C), (N, K), (M, K))]


def numpy(values):
    return [value.detach().double().numpy() for value in values]


def softmax(scores):
    values = np.exp(scores - scores.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def linear(alignment, weight, bias):
    """Replaces the discriminator by one that can be worked out by hand."""
    alignment.discriminator = nn.Linear(len(weight), 1)
    alignment.discriminator.weight.data.copy_(torch.tensor(weight)[None])
    alignment.discriminator.bias.data.fill_(bias)
    return alignment


def test_the_gradient_is_reversed_and_nothing_else():
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = reverse_gradient(x, torch.tensor(0.25))
    assert torch.equal(x, y)
    (y.square() * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    # d/dx of (1, 10, 100) x^2 is 2 (1, 10, 100) x.
    assert x.grad.tolist() == [-0.25 * 2, 0.25 * 40, -0.25 * 600]


def test_the_schedule_and_its_place_in_the_checkpoint():
    dann = DANN(C, K, hidden_channels=4, ramp_steps=8).train()
    for step in range(11):
        done = min(step / 8, 1)
        logged = dann.loss(*batch())['reversal_weight'].item()
        assert logged == pytest.approx(2 / (1 + math.exp(-10 * done)) - 1, abs=1e-6)
        if step == 4:
            other = DANN(C, K, hidden_channels=4, ramp_steps=8)
            other.load_state_dict(dann.state_dict())
            assert other.reversal_weight() == dann.reversal_weight() != 0
    dann.eval()
    before = int(dann.step)
    dann.loss(*batch())
    assert int(dann.step) == before == 11, 'a step is one of training'


def test_the_length_of_the_run_is_mmengine_s():
    dann = DANN(C, K, hidden_channels=4)
    MessageHub.get_instance('no run')
    with pytest.raises(InputError, match='give ramp_steps'):
        dann.reversal_weight()
    MessageHub.get_instance('run of four').update_info('max_iters', 4)
    dann.step += 1
    assert dann.reversal_weight().item() == pytest.approx(2 / (1 + math.exp(-2.5)) - 1)


def test_dann_by_hand():
    """One linear unit: the loss, its gradients in the discriminator, and those of the features,
    reversed."""
    dann = linear(DANN(C, K, ramp_steps=10, loss_weight=0.5), [0.3, -0.2, 0.1, 0.7, -0.5], 0.2)
    dann.step += 3
    values = batch()
    for features in values[:2]:
        features.requires_grad_()
    logged = dann.loss(*values)
    logged['loss_alignment'].backward()

    source, target, _, _ = numpy(values)
    weight, bias = dann.discriminator.weight[0].detach().double().numpy(), 0.2
    probability = [1 / (1 + np.exp(-(features @ weight + bias))) for features in (source, target)]
    expected = 0.5 * (-np.log(probability[0]).mean() - np.log(1 - probability[1]).mean()) / 2
    assert logged['loss_alignment'].item() == pytest.approx(expected, rel=1e-5)
    right = 50 * ((probability[0] > 0.5).mean() + (probability[1] < 0.5).mean())
    assert logged['domain_accuracy'].item() == pytest.approx(right)

    # d loss / d logit, an image of a domain of n: (p - label) / n / 2, and the weight of the loss.
    slopes = [0.5 * (probability[0] - 1) / N / 2, 0.5 * probability[1] / M / 2]
    weight_gradient = slopes[0] @ source + slopes[1] @ target
    np.testing.assert_allclose(
        dann.discriminator.weight.grad[0].numpy(), weight_gradient, rtol=1e-4, atol=1e-7
    )
    reversal = 2 / (1 + math.exp(-10 * 0.3)) - 1
    for features, slope in zip(values[:2], slopes):
        np.testing.assert_allclose(
            features.grad.numpy(), -reversal * np.outer(slope, weight), rtol=1e-4, atol=1e-7
        )


def test_cdan_sees_every_product_of_a_feature_and_a_probability():
    cdan = CDAN(C, K, hidden_channels=4, ramp_steps=10)
    features, _, scores, _ = batch()
    joint = cdan.joint(features, scores)
    assert joint.shape == (N, C * K) and cdan.discriminator[0].in_features == C * K
    expected = [
        np.outer(f, p).ravel() for f, p in zip(*numpy([features]), softmax(*numpy([scores])))
    ]
    np.testing.assert_allclose(joint.numpy(), expected, rtol=1e-5)


def test_cdan_randomised():
    torch.manual_seed(0)
    cdan = CDAN(C, K, max_product=14, randomised_channels=7, hidden_channels=4, ramp_steps=10)
    assert CDAN(C, K, max_product=15, ramp_steps=10).feature_map is None
    features, _, scores, _ = batch()
    joint = cdan.joint(features, scores)
    first, second = numpy([cdan.feature_map, cdan.class_map])
    expected = np.empty((N, 7))
    for n, (f, p) in enumerate(zip(*numpy([features]), softmax(*numpy([scores])))):
        for d in range(7):
            expected[n, d] = (
                sum(f[c] * first[c, d] for c in range(C))
                * sum(p[k] * second[k, d] for k in range(K))
                / math.sqrt(7)
            )
    np.testing.assert_allclose(joint.numpy(), expected, rtol=1e-4, atol=1e-6)
    assert {'feature_map', 'class_map'} <= cdan.state_dict().keys()
    assert not [name for name, _ in cdan.named_parameters() if 'map' in name]


def test_randomised_products_keep_inner_products():
    """The reason for the map: the inner product of two of its images estimates that of the full
    products."""
    torch.manual_seed(0)
    cdan = CDAN(C, K, max_product=1, randomised_channels=200_000, hidden_channels=1, ramp_steps=10)
    full = CDAN(C, K, hidden_channels=1, ramp_steps=10)
    features, _, scores, _ = batch()
    estimated, exact = (alignment.joint(features, scores) for alignment in (cdan, full))
    torch.testing.assert_close(estimated @ estimated.T, exact @ exact.T, rtol=0.05, atol=0.05)


@pytest.mark.parametrize('settings', [{}, dict(entropy_weighting=True, entropy_gradient=False)])
def test_no_gradient_goes_through_cdan_s_probabilities(settings):
    values = batch()
    for value in values:
        value.requires_grad_()
    cdan = CDAN(C, K, hidden_channels=4, ramp_steps=10, **settings)
    cdan.step += 5
    cdan.loss(*values)['loss_alignment'].backward()
    assert [value.grad is None for value in values] == [False, False, True, True]


def test_the_entropy_s_gradient_is_reversed_as_published():
    """By hand: the weights' sums count as constants, and the scores get ``-reversal`` times the
    gradient that the weights have."""
    weight = np.linspace(-1, 1, C * K).astype(np.float32)
    cdan = linear(CDAN(C, K, ramp_steps=10, entropy_weighting=True), weight, 0.1)
    cdan.step += 3
    values = batch()
    for value in values:
        value.requires_grad_()
    cdan.loss(*values)['loss_alignment'].backward()

    reversal = 2 / (1 + math.exp(-10 * 0.3)) - 1
    source, target, source_scores, target_scores = numpy(values)
    for features, scores, found, is_source in (
        (source, source_scores, values[2].grad, True),
        (target, target_scores, values[3].grad, False),
    ):
        rows, weights = [], []
        for f, p in zip(features, softmax(scores)):
            logit = np.outer(f, p).ravel() @ weight + 0.1
            cross_entropy = math.log1p(math.exp(-logit if is_source else logit))
            entropy = -sum(p * np.log(p))
            weights.append(1 + math.exp(-entropy))
            # d entropy / d score k is -p_k (ln p_k + entropy).
            rows.append(cross_entropy * math.exp(-entropy) * p * (np.log(p) + entropy))
        expected = -reversal * np.array(rows) / sum(weights) / 2
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-7)


def test_entropy_weights():
    weight = np.linspace(-1, 1, C * K).astype(np.float32)
    cdan = linear(CDAN(C, K, ramp_steps=10, entropy_weighting=True), weight, 0.1)
    values = batch()
    source, target, source_scores, target_scores = numpy(values)
    domain_losses = []
    for features, scores, label in ((source, source_scores, 1), (target, target_scores, 0)):
        losses, weights = [], []
        for f, p in zip(features, softmax(scores)):
            probability = 1 / (1 + math.exp(-(np.outer(f, p).ravel() @ weight + 0.1)))
            losses.append(-math.log(probability if label else 1 - probability))
            weights.append(1 + math.exp(sum(value * math.log(value) for value in p)))
        domain_losses.append(np.dot(losses, weights) / sum(weights))
    assert cdan.loss(*values)['loss_alignment'].item() == pytest.approx(
        np.mean(domain_losses), rel=1e-5
    )
    # A certain prediction counts twice as much as nearly none, of one class in three 1 + 1/3.
    weights = cdan.sample_weights(torch.tensor([[100.0, 0, 0], [1, 1, 1]]))
    assert weights.tolist() == pytest.approx([2, 4 / 3])
    assert CDAN(C, K, ramp_steps=10).sample_weights(values[2]).tolist() == [1] * N
