from statistics import NormalDist

import numpy as np
import pytest

from pinas_mm.ranking.ranking import kendall_tau
from pinas_mm.ranking.score_corrections import macs_corrected, smoothed, sum_of_places
from pinas_mm.spaces import get_space

SPACE = get_space('nasbench_macro')


@pytest.fixture
def archs():
    return list(map(tuple, SPACE.sample_array(np.random.default_rng(0), 150).tolist()))


@pytest.fixture
def truth(archs):
    weights = np.random.default_rng(1).uniform(0, 2, 24)
    return SPACE.one_hot(archs) @ weights


def test_smoothing_averages_noise_out(archs, truth):
    noisy = truth + truth.std() * np.random.default_rng(3).normal(size=len(archs))
    assert kendall_tau(smoothed(SPACE, archs, noisy), truth) > kendall_tau(noisy, truth) + 0.2


def test_what_macs_explain_is_taken_off():
    macs, rest = np.array([1e6, 2e6, 4e6, 8e6]), np.array([1.0, -1.0, -1.0, 1.0])
    np.testing.assert_allclose(macs_corrected(5 + 3 * np.log2(macs) + rest, macs), rest, atol=1e-9)
    np.testing.assert_array_equal(macs_corrected(rest, np.full(4, 1e6)), rest)


def test_joined_scores_count_alike_whatever_their_unit():
    first, second = np.random.default_rng(5).normal(size=(2, 9))
    by_hand = []
    for index in range(9):
        total = 0.0
        for weight, values in ((1, first), (2, second)):
            ordered = sorted(values)  # of nine, the third and the seventh are the quartiles
            deviation = (ordered[6] - ordered[2]) / 1.349
            total += weight * NormalDist(ordered[4], deviation).cdf(values[index])
        by_hand.append(total)
    weights = dict(first=1, second=2)
    np.testing.assert_allclose(sum_of_places(dict(first=first, second=second), weights), by_hand)
    other_units = dict(first=10 * first - 5, second=second / 7)
    np.testing.assert_allclose(sum_of_places(other_units, weights), by_hand)
    flat = dict(first=first, second=np.full(9, 4.0))
    np.testing.assert_allclose(
        sum_of_places(flat, weights), sum_of_places(flat, dict(first=1)) + 2 * 0.5
    )


def test_two_noisy_rankers_joined_are_better_than_either(truth):
    rng = np.random.default_rng(4)
    noisy = {name: truth + truth.std() * rng.normal(size=len(truth)) for name in 'ab'}
    assert (
        kendall_tau(sum_of_places(noisy, dict(a=1, b=1)), truth)
        > max(kendall_tau(scores, truth) for scores in noisy.values()) + 0.05
    )
