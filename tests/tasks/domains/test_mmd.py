import math

import numpy as np
import pytest
import torch

from pinas_mm.errors import InputError
from pinas_mm.tasks.domains import MMD


def by_loops(source, target, factors):
    """The unbiased estimate, pair by pair; the kernels add up."""
    everything = [*source, *target]
    squared = sorted(
        ((x - y) ** 2).sum() for i, x in enumerate(everything) for y in everything[i + 1 :]
    )
    median = squared[(len(squared) - 1) // 2]  # torch's: the lower one of two

    def summed_kernel(xs, ys, same):
        values = []
        for i, x in enumerate(xs):
            for j, y in enumerate(ys):
                if not (same and i == j):
                    squared = ((x - y) ** 2).sum()
                    values.append(sum(math.exp(-squared / (factor * median)) for factor in factors))
        return sum(values) / len(values)

    return (
        summed_kernel(source, source, True)
        + summed_kernel(target, target, True)
        - 2 * summed_kernel(source, target, False)
    )


def loss(mmd, source, target):
    scores = [torch.zeros(len(features), 3) for features in (source, target)]
    return mmd.loss(source, target, *scores)['loss_alignment']


@pytest.mark.parametrize(
    'n, m, shift, factors',
    [(4, 4, 1.0, (0.25, 0.5, 1, 2, 4)), (3, 7, 0.0, (1,)), (6, 2, 30.0, (0.5, 3))],
)
def test_mmd_by_loops(n, m, shift, factors):
    rng = np.random.default_rng(n)
    source, target = rng.normal(size=(n, 5)), rng.normal(shift, 1, size=(m, 5))
    mmd = MMD(5, 3, factors, loss_weight=0.5)
    found = loss(
        mmd, *(torch.tensor(features, dtype=torch.float32) for features in (source, target))
    ).item()
    assert found == pytest.approx(0.5 * by_loops(source, target, factors), rel=1e-4, abs=1e-6)


def test_kernels_add_up_as_in_the_published_code():
    """Five kernels, each twice as wide as the one before: a loss five times that of their mean."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 8, 4, generator=generator).unbind()
    single = [loss(MMD(4, 3, (factor,)), *features) for factor in MMD(4, 3).factors]
    assert MMD(4, 3).factors == (0.25, 0.5, 1, 2, 4)
    torch.testing.assert_close(loss(MMD(4, 3), *features), torch.stack(single).sum())


def test_no_bias():
    """Over many draws of one distribution the mean is 0, and single ones are on both sides."""
    generator = torch.Generator().manual_seed(0)
    values = torch.stack(
        [loss(MMD(4, 3), *torch.randn(2, 8, 4, generator=generator)) for _ in range(400)]
    )
    assert abs(values.mean()) < 4 * values.std() / 20 and values.min() < 0 < values.max()


def test_steps_along_its_gradient_bring_the_domains_together():
    torch.manual_seed(0)
    source, target = torch.randn(32, 4), torch.nn.Parameter(torch.randn(32, 4) + 1)
    optimiser = torch.optim.Adam([target], lr=0.1)
    before = torch.dist(target.mean(dim=0), source.mean(dim=0))
    for _ in range(100):
        optimiser.zero_grad()
        loss(MMD(4, 3), source, target).backward()
        optimiser.step()
    assert torch.dist(target.mean(dim=0), source.mean(dim=0)) < before / 10


def test_distances_far_from_zero():
    """Features of a large common part, as a ReLU's may be: no loss to rounding."""
    rng = np.random.default_rng(1)
    source, target = rng.normal(size=(5, 3)), rng.normal(1, 1, size=(5, 3))
    far = [torch.tensor(np.float32(features + 4096)) for features in (source, target)]
    assert loss(MMD(3, 3), *far).item() == pytest.approx(
        by_loops(source, target, MMD(3, 3).factors), rel=0.01
    )


def test_features_that_are_all_equal():
    features = torch.ones(8, 4, requires_grad=True)
    value = loss(MMD(4, 3), features[:4], features[4:])
    value.backward()
    assert value.item() == 0 and features.grad.abs().max() == 0


def test_bad_input():
    for factors in ((), (1, 0), (-1,)):
        with pytest.raises(InputError, match='MMD.factors.*: expected (a finite|at least)'):
            MMD(4, 3, factors)
    with pytest.raises(
        InputError, match='a batch of 1 source and 4 target images, expected at least 2 of each'
    ):
        loss(MMD(4, 3), torch.randn(1, 4), torch.randn(4, 4))
