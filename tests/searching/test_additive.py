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


def test_effects_are_the_weights_of_candidates_around_the_mean_of_their_slot(archs):
    weights = np.random.default_rng(1).normal(size=(16, 4))
    noise = np.random.default_rng(2).normal(scale=0.3, size=300)
    scores = 70 + weights[range(16), np.array(archs)].sum(axis=1) + noise
    model = AdditiveModel(SPACE, archs, scores)
    truth = weights - weights.mean(axis=1, keepdims=True)
    effects = model.effects()
    assert [len(slot) for slot in effects] == [4] * 16
    within = [
        effect.low <= value <= effect.high
        for slot, values in zip(effects, truth)
        for effect, value in zip(slot, values)
    ]
    assert np.mean(within) > 0.85, 'some 95 % of the intervals hold the truth'
    assert model.noise == pytest.approx(0.3, rel=0.2)
    for slot in effects:
        assert sum(effect.value for effect in slot) == pytest.approx(0, abs=1e-9)
        assert all(effect.low < effect.value < effect.high for effect in slot)


def test_a_candidate_is_clearly_good_where_its_interval_leaves_0_out(archs):
    scores = 50 + 10.0 * (np.array(archs)[:, 3] == 2) + np.random.default_rng(0).normal(size=300)
    effects = AdditiveModel(SPACE, archs, scores).effects()
    assert effects[3][2].is_clear and effects[3][2].value == pytest.approx(7.5, abs=0.5)
    others = [e.is_clear for slot, row in enumerate(effects) if slot != 3 for e in row]
    assert np.mean(others) < 0.2


def test_equal_scores_have_no_effects(archs):
    model = AdditiveModel(SPACE, archs[:5], [3.0] * 5)
    assert all(abs(e.value) < 1e-6 and np.isfinite(e.low) for slot in model.effects() for e in slot)
