import numpy as np
import pytest
import torch
from tiny_chain import tiny_net
from torch.autograd.functional import jacobian

from pinas_mm.models.backbones import SearchableMacroNet, SearchableNASBench201
from pinas_mm.ranking.training_free import az_nas as module
from pinas_mm.ranking.training_free import training_free_scores
from pinas_mm.ranking.training_free.az_nas import AZNAS, az_nas, layer_trainability, map_entropy

NAMES = ['az_expressivity', 'az_progressivity', 'az_trainability']


def entropy_by_hand(feature):
    pixels = np.array([image[:, y, x] for image in feature for y, x in np.ndindex(image.shape[1:])])
    shares = np.linalg.eigvalsh(np.cov(pixels.T, bias=True).reshape(feature.shape[1], -1))
    shares = shares / shares.sum()
    return -sum(share * np.log(share + 1e-8) for share in shares)


def trainability_by_hand(part, x, signs):
    """With the whole Jacobian, pixel by pixel."""
    matrix = jacobian(part, x).flatten(-4).flatten(0, -2).numpy()
    gradient = (signs.numpy().reshape(-1) @ matrix).reshape(x.shape)
    stride = x.shape[2] // signs.shape[2]
    products = [
        np.outer(
            gradient[i, :, y * stride : (y + 1) * stride, z * stride : (z + 1) * stride].reshape(
                -1
            ),
            signs[i, :, y, z].numpy(),
        )
        for i in range(len(signs))
        for y, z in np.ndindex(signs.shape[2:])
    ]
    largest = np.linalg.svd(np.mean(products, axis=0))[1][0]
    return 2 - largest - 1 / (largest + 1e-6)


@pytest.mark.parametrize('arch', ['11111111', '20001002'])
def test_the_three_scores_by_whole_jacobians(monkeypatch, arch):
    """On the macro space, whose identities at stride 1 are no layers. Sizes and channels change."""
    monkeypatch.setattr(module, 'BATCH', 2)
    backbone = SearchableMacroNet(widen_factor=0.125)
    arch = backbone.space.decode(arch)
    images = torch.zeros(5, 3, 8, 8)
    score = AZNAS(backbone, images, seed=3)
    network, signs = score.network, torch.Generator().manual_seed(3)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    x = network.run_part(0, arch, x)
    entropies, trainabilities = [entropy_by_hand(x.numpy())], []
    for part, choice in enumerate(arch, start=1):
        after = network.run_part(part, arch, x)
        if choice or network.space.positions[part - 1].changes_shape:
            drawn = torch.randint(2, after.shape, generator=signs) * 2.0 - 1
            trainabilities.append(
                trainability_by_hand(lambda x, p=part: network.run_part(p, arch, x), x, drawn)
            )
            entropies.append(entropy_by_hand(after.numpy()))
        x = after
    assert len(entropies) == {'1': 9, '2': 6}[str(arch[0])]
    found = score(arch)
    assert found['az_expressivity'] == pytest.approx(sum(entropies), rel=1e-4)
    assert found['az_progressivity'] == pytest.approx(np.diff(entropies).min(), abs=1e-4)
    assert found['az_trainability'] == pytest.approx(np.mean(trainabilities), rel=1e-4)


@pytest.mark.parametrize(('given', 'taken'), [(16, 16), (100, 64)])
def test_as_much_noise_as_images_and_64_at_most(given, taken):
    score = AZNAS(SearchableMacroNet(widen_factor=0.125), torch.zeros(given, 3, 8, 12))
    assert score.noise.shape == (taken, 3, 8, 12)


def test_weights_are_kaiming_normal():
    network = AZNAS(SearchableMacroNet(), torch.zeros(1, 3, 8, 8)).network
    weight = network.tail[0].weight
    assert weight.std().item() == pytest.approx((2 / weight.shape[1]) ** 0.5, rel=0.01)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_cells_as_published():
    """A cell that hands on its input is a layer whose trainability is -inf; what is zero has no
    entropy, and lets no gradient through."""
    backbone = SearchableNASBench201(widen_factor=0.125)
    identity, dead, convolution = (0, 0, 0, 1, 0, 0), (3, 0, 0, 0, 0, 0), (0, 0, 0, 3, 0, 0)
    found = training_free_scores(
        backbone, [identity, dead, convolution], torch.zeros(64, 3, 8, 8), NAMES
    )
    assert np.isfinite(found['az_expressivity']).tolist() == [True, False, True]
    assert found['az_progressivity'][:2].tolist() == [0, -np.inf]
    assert found['az_trainability'][0] == -np.inf
    # 15 of its 17 layers are cells without a gradient, and the residual blocks get zeros.
    assert found['az_trainability'][1] < -0.88 * 1e6
    assert -50 < found['az_trainability'][2] < 0


def test_sizes_that_a_stride_does_not_divide():
    x = torch.randn(2, 1, 5, 7, requires_grad=True)
    after = torch.nn.functional.conv2d(x, torch.ones(1, 1, 1, 1), stride=2)
    assert after.shape[2:] == (3, 4)
    # One input pixel per output pixel keeps the sign: σ is 1.
    found = layer_trainability(x, after, torch.Generator().manual_seed(0))
    assert found == pytest.approx(0, abs=1e-5)


def test_the_entropy_of_equal_and_of_single_components():
    torch.manual_seed(0)
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    assert map_entropy(signs.reshape(4, 2, 1, 1)) == pytest.approx(np.log(2))
    assert map_entropy(torch.ones(3, 4, 1, 1) * torch.randn(3, 1, 1, 1)) == pytest.approx(
        0, abs=1e-6
    )
    assert np.isnan(map_entropy(torch.ones(3, 4, 2, 2)))


def test_a_network_through_which_nothing_flows_is_last():
    found = training_free_scores(tiny_net(), [(1, 1), (2, 2)], torch.zeros(1, 3, 4, 4), NAMES)
    assert all(values[1] < values[0] for values in found.values())


def test_a_network_of_its_stem_alone_has_a_finite_score():
    """Two identities: no layer, so nothing that could lose a gradient or gain entropy."""
    found = AZNAS(tiny_net(), torch.zeros(1, 3, 4, 4))((0, 0))
    assert found['az_expressivity'] > 0
    assert found['az_progressivity'] == 0 and found['az_trainability'] == 0


def test_ranks_are_put_together_by_hand():
    """Ties share the mean of their ranks; -inf is the lowest."""
    first, second = np.array([3.0, 1.0, 2.0, -np.inf]), np.array([5.0, 5.0, 6.0, 1.0])
    ranks = [(4, 2.5), (2, 2.5), (3, 4), (1, 1)]
    expected = [np.log(a / 4) + np.log(b / 4) for a, b in ranks]
    np.testing.assert_allclose(az_nas(first, second), expected)
