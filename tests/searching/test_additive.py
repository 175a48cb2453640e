import numpy as np
import pytest

from pinas_mm.searching.additive import AdditiveModel
from pinas_mm.spaces import get_space

SPACE = get_space('resnest50')


@pytest.fixture
def archs():
    rng = np.random.default_rng(0)
    return [SPACE.sample(rng) for _ in range(300)]


@pytest.fixture
def truth(archs):
    weights = np.random.default_rng(1).normal(size=(16, 4))
    return 70 + weights[range(16), np.array(archs)].sum(axis=1)


def test_additive_scores_are_predicted_in_their_unit(archs, truth):
    model = AdditiveModel(SPACE, archs[:200], truth[:200])
    np.testing.assert_allclose(model.predict(archs[200:]), truth[200:], atol=0.05)


def test_noise_is_averaged_out(archs, truth):
    noisy = truth + np.random.default_rng(2).normal(scale=truth.std(), size=300)
    error = AdditiveModel(SPACE, archs, noisy).predict(archs) - truth
    assert error.std() < 0.6 * (noisy - truth).std()


def test_scores_that_follow_nothing_are_predicted_by_their_mean(archs):
    scores = np.random.default_rng(3).normal(50, 1, size=300)
    assert AdditiveModel(SPACE, archs, scores).predict(archs).std() < 0.5


def test_archs_that_do_not_work_at_all_do_not_bend_the_others(archs, truth):
    broken = truth.copy()
    broken[::30] = -1000
    rest = np.arange(300) % 30 > 0
    predicted = AdditiveModel(SPACE, archs, broken).predict(archs)[rest]
    assert np.corrcoef(predicted, truth[rest])[0, 1] > 0.95


@pytest.mark.parametrize('count', [1, 5])
def test_equal_scores_are_predicted_as_they_are(archs, count):
    np.testing.assert_allclose(
        AdditiveModel(SPACE, archs[:count], [3.0] * count).predict(archs), 3.0
    )


def test_best_first_is_by_prediction_and_stable(archs, truth):
    model = AdditiveModel(SPACE, archs, truth)
    rows = np.array(archs[:50] + archs[:1])
    ordered = model.best_first(rows)
    expected = sorted(range(51), key=lambda i: (-model.predict(rows[i : i + 1]).round(6)[0], i))
    np.testing.assert_array_equal(ordered, rows[expected])
