import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kendalltau

from pinas_mm.searching import posterior
from pinas_mm.searching.posterior import posterior_means
from pinas_mm.spaces import get_space

SPACE = get_space('nasbench_macro')


def drawn(count, seed=0):
    rng = np.random.default_rng(seed)
    archs = list({SPACE.sample(rng): None for _ in range(count)})
    weights = rng.standard_normal(SPACE.one_hot(archs).shape[1])
    return archs, SPACE.one_hot(archs) @ weights, rng


def by_hand(archs, scores):
    """The same process in NumPy: its parameters maximise the marginal likelihood (Rasmussen and
    Williams, 2006, eq. 2.30), the mean is eq. 2.25."""
    inputs = SPACE.one_hot(archs).astype(float)
    lower, median, upper = np.percentile(scores, [25, 50, 75])
    values = np.clip((scores - median) / (upper - lower), -2.5, None)
    shift, spread = values.mean(), values.std()
    values = (values - shift) / spread
    dots = 1 + inputs @ inputs.T
    squares = ((inputs[:, None] - inputs[None]) ** 2).sum(axis=-1)

    def kernel(parameters):
        linear, together, length, _ = np.exp(parameters)
        return linear * dots + together * np.exp(-squares / (2 * length**2))

    def loss(parameters):
        factor = np.linalg.cholesky(
            kernel(parameters) + (np.exp(parameters[3]) + 1e-10) * np.eye(len(values))
        )
        half = np.linalg.solve(factor, values)
        return half @ half / 2 + np.log(np.diag(factor)).sum()

    limits = np.log([(1e-5, 1e5), (1e-5, 1e5), (1, 20), (1e-5, 10)])
    starts = np.log([(1, 0.3, 3, 0.3), (0.1, 0.1, 2, 1), (1, 1, 5, 0.1)])
    best = min((minimize(loss, x, bounds=limits) for x in starts), key=lambda found: found.fun)
    covariance = kernel(best.x) + np.exp(best.x[3]) * np.eye(len(values))
    mean = kernel(best.x) @ np.linalg.solve(covariance, values)
    return median + (upper - lower) * (shift + spread * mean)


def test_it_is_the_posterior_mean():
    archs, truth, rng = drawn(60)
    scores = truth + 1.5 * rng.standard_normal(len(archs))
    found = posterior_means(SPACE, archs, scores)
    assert found == pytest.approx(by_hand(archs, scores), abs=0.02 * scores.std())


def test_noisy_scores_come_nearer_to_the_truth_and_scores_without_noise_keep_their_order():
    archs, truth, rng = drawn(150)
    noisy = truth + truth.std() * rng.standard_normal(len(archs))
    before, after = (kendalltau(x, truth)[0] for x in (noisy, posterior_means(SPACE, archs, noisy)))
    assert after > before + 0.2
    assert kendalltau(posterior_means(SPACE, archs, truth), truth)[0] > 0.99


def test_large_searches_are_fitted_to_a_part_and_the_worst_keep_their_scores(monkeypatch):
    archs, truth, rng = drawn(120)
    scores = truth + 0.3 * rng.standard_normal(len(archs))
    whole = posterior_means(SPACE, archs, scores)
    monkeypatch.setattr(posterior, 'MOST_FITTED', 40)
    part = posterior_means(SPACE, archs, scores)
    assert np.corrcoef(part, whole)[0, 1] > 0.98
    monkeypatch.setattr(posterior, 'MOST_ARCHS', 60)
    found = posterior_means(SPACE, archs, scores)
    worst = np.argsort(-scores, kind='stable')[60:]
    assert (found[worst] == scores[worst]).all() and (found != scores).sum() == 60


@pytest.mark.parametrize('scores', [[1.0], [2.0] * 5, [1e300, -1e300, 0.0, 1.0], [0.0, 1.0]])
def test_odd_scores_give_finite_means(scores):
    archs = drawn(5)[0][: len(scores)]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        found = posterior_means(SPACE, archs, scores)
    assert np.isfinite(found).all()
    if np.ptp(scores) == 0:
        assert found.tolist() == scores
