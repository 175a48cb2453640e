import numpy as np
import pytest
import torch
from tiny_chain import TinyNet
from torch import nn

from pinas_mm.ranking.training_free.wrcor import WRCor


class OutOfPlace(TinyNet):
    def activation(self):
        return nn.ReLU6()


def batch_norm(x):
    return nn.functional.batch_norm(x, None, None, training=True)


@pytest.mark.parametrize('kind', [TinyNet, OutOfPlace])
def test_the_kernel_by_numpy(kind):
    """As the published code reads it, an activation that works in place is seen after it. An
    identity is no layer."""
    torch.manual_seed(1)
    images = torch.randn(70, 3, 4, 4)
    score = WRCor(kind(), images, seed=2)
    network, images = score.network, images[:64]
    conv = [network.layers[i]['1'][2].weight for i in range(2)]
    x = nn.functional.conv2d(images, network.stem.weight).requires_grad_()
    for arch, positions in (((1, 1), (0, 1)), ((0, 1), (1,)), ((1, 0), (0,))):
        inputs, out = [], x
        for position in positions:
            inputs.append(batch_norm(out))
            out = nn.functional.conv2d(inputs[-1].clamp(0, 6), conv[position])
        logits = out.mean((2, 3)) @ score.classifier.T
        loss = -logits.log_softmax(1)[range(64), score.labels].mean()
        gradients = torch.autograd.grad(loss, inputs)
        kernel = np.zeros((64, 64))
        for layer, (a, gradient) in enumerate(zip(inputs, gradients), start=1):
            seen = a.clamp(0, 6) if kind is TinyNet else a
            for response in (seen, gradient):
                rows = response.detach().flatten(1).numpy()
                kernel += 2**layer * np.abs(np.corrcoef(rows))
        expected = np.linalg.slogdet(kernel)[1]
        assert score(arch)['wrcor'] == pytest.approx(expected, rel=1e-4)


def test_what_is_constant_has_no_correlation_and_counts_nothing():
    torch.manual_seed(1)
    score = WRCor(TinyNet(), torch.randn(8, 3, 4, 4))
    assert score((2, 1)) == score((0, 2)) == score((0, 0)) == dict(wrcor=-np.inf)
    # Before the zeros the responses are seen, but no gradient comes back.
    assert np.isfinite(score((1, 2))['wrcor'])


def test_classifier_and_labels_are_of_the_seed():
    first, again, other = (WRCor(TinyNet(), torch.zeros(64, 3, 4, 4), seed) for seed in (0, 0, 1))
    assert torch.equal(first.classifier, again.classifier)
    assert torch.equal(first.labels, again.labels) and not torch.equal(first.labels, other.labels)
    assert set(first.labels.tolist()) == set(range(10))
    bound = 2**-0.5
    assert float(first.classifier.abs().max()) <= bound
    assert float(first.classifier.abs().max()) > 0.8 * bound
