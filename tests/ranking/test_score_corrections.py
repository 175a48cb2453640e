import numpy as np
import pytest

from pinas_mm.ranking.ranking import kendall_tau
from pinas_mm.ranking.score_corrections import macs_corrected, smoothed, standardised_sum
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
    first, second = np.array([1.0, 2.0, 3.0]), np.array([300.0, 100.0, 800.0])
    by_hand = [
        (1 - 2) / np.sqrt(2 / 3) + -100 / np.sqrt(260000 / 3),
        -300 / np.sqrt(260000 / 3),
        np.sqrt(1.5) + 400 / np.sqrt(260000 / 3),
    ]
    np.testing.assert_allclose(standardised_sum(first, second), by_hand)
    np.testing.assert_allclose(standardised_sum(10 * first - 5, second / 7), by_hand)
    np.testing.assert_allclose(standardised_sum(first, np.full(3, 4.0)), standardised_sum(first))


def test_two_noisy_rankers_joined_are_better_than_either(truth):
    rng = np.random.default_rng(4)
    noisy = [truth + truth.std() * rng.normal(size=len(truth)) for _ in range(2)]
    assert (
        kendall_tau(standardised_sum(*noisy), truth)
        > max(kendall_tau(scores, truth) for scores in noisy) + 0.05
    )
