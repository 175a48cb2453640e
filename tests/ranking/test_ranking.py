import itertools
import json

import numpy as np
import pytest
from scipy import stats

from pinas_mm.errors import InputError
from pinas_mm.ranking.ranking import (
    expected_best,
    kendall_tau,
    measure_ranking,
    tau_between_trainings,
)
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.spaces import get_space

TRUTH = [60.0, 61.5, 62.0, 70.0, 71.0, 71.0, 72.5, 80.0, 81.0, 90.0, 91.5, 92.0]
SCORES = [1.0, 3.0, 2.0, 2.0, 5.0, 4.0, 9.0, 6.0, 7.0, 7.0, 12.0, 8.0]


def tau_b(x, y):
    """Pairs counted one by one."""
    pairs = [
        (np.sign(a - b), np.sign(c - d))
        for (a, c), (b, d) in itertools.combinations(list(zip(x, y)), 2)
    ]
    untied = [sum(pair[side] != 0 for pair in pairs) for side in (0, 1)]
    return sum(a * c for a, c in pairs) / np.sqrt(untied[0] * untied[1])


def test_a_hand_made_table_against_scipy_and_against_counted_pairs():
    found = measure_ranking(SCORES, TRUTH, resamples=20)
    assert found.tau.value == pytest.approx(stats.kendalltau(SCORES, TRUTH).statistic)
    assert found.tau.value == pytest.approx(tau_b(SCORES, TRUTH))
    assert found.rho.value == pytest.approx(stats.spearmanr(SCORES, TRUTH).statistic)
    assert found.r.value == pytest.approx(stats.pearsonr(SCORES, TRUTH).statistic)
    assert found.tau_top_half == pytest.approx(tau_b(SCORES[6:], TRUTH[6:]))
    assert np.isnan(found.tau_top_tenth), 'one arch'
    assert found.regret_best == pytest.approx(92.0 - 91.5) and found.regret_top10 == 0
    assert found.num_archs == 12 and found.undefined is None


def test_the_top_tenth_is_that_of_the_truth():
    rng = np.random.default_rng(0)
    truth = rng.permutation(100).astype(float)
    scores = truth + rng.normal(scale=30, size=100)
    top = truth >= 90
    assert measure_ranking(scores, truth, resamples=10).tau_top_tenth == pytest.approx(
        tau_b(scores[top], truth[top])
    )


def test_the_interval_is_that_of_resampled_archs_and_seeded():
    found, again, other = (
        measure_ranking(SCORES, TRUTH, seed=seed, resamples=500) for seed in (0, 0, 1)
    )
    assert found.tau == again.tau and found.rho == again.rho and found.r == again.r
    assert found.tau != other.tau
    rng, x, y = np.random.default_rng(7), np.array(SCORES), np.array(TRUTH)
    taus = [kendall_tau(x[drawn], y[drawn]) for drawn in rng.integers(0, 12, size=(1000, 12))]
    np.testing.assert_allclose(
        [found.tau.low, found.tau.high], np.percentile(taus, [2.5, 97.5]), atol=0.06
    )


def test_scores_in_the_true_order_and_the_opposite_one():
    for sign, regret in ((1, 0), (-1, 92 - 60)):
        found = measure_ranking(sign * np.array(TRUTH), TRUTH, resamples=100)
        assert [found.tau.value, found.tau.low, found.rho.value, found.r.value] == pytest.approx(
            [sign] * 4
        )
        assert found.regret_best == pytest.approx(regret)


def test_equal_scores_have_no_tau_and_the_regret_of_a_random_choice():
    found = measure_ranking([3.0] * 12, TRUTH)
    assert found.undefined == 'all 12 scores are 3: tau is undefined'
    assert all(
        np.isnan([value.value, value.low, value.high]).all()
        for value in (found.tau, found.rho, found.r)
    )
    assert found.regret_best == pytest.approx(92 - np.mean(TRUTH))


@pytest.mark.parametrize('scores', [[1, 2, 2, 2, 2, 3, 3, 0], [1] * 8, [5, 5, 5, 5, 1, 1, 2, 3]])
@pytest.mark.parametrize('count', [1, 3, 6, 8])
def test_the_best_to_expect_is_that_of_random_orders_of_equal_scores(scores, count):
    scores, truth = np.array(scores, float), np.array([4.0, 9, 1, 7, 7, 3, 5, 8])
    rng, best = np.random.default_rng(0), []
    for _ in range(3000):
        order = sorted(range(8), key=lambda i: (-scores[i], rng.random()))
        best.append(truth[order[:count]].max())
    assert expected_best(scores, truth, count) == pytest.approx(np.mean(best), abs=0.1)


def test_the_ceiling_is_the_mean_over_pairs_of_repeats():
    trainings = np.random.default_rng(0).normal(size=(20, 3)) + np.arange(20)[:, None] / 5
    expected = np.mean(
        [tau_b(trainings[:, i], trainings[:, j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    )
    assert tau_between_trainings(trainings.tolist()) == pytest.approx(expected)
    some_twice = trainings.tolist() + [[5.0]] * 3 + trainings[:, :2].tolist()
    doubled = np.concatenate([trainings, trainings])
    assert tau_between_trainings(some_twice) == pytest.approx(
        tau_b(doubled[:, 0], doubled[:, 1])
    ), 'archs trained once are left out'
    assert np.isnan(tau_between_trainings([[1.0]] * 30)) and np.isnan(
        tau_between_trainings([[1.0, 2.0]] * 9)
    )


@pytest.mark.parametrize(
    'scores, truth, message',
    [
        (SCORES[:9], TRUTH[:9], 'of 9 archs says nothing: expected at least 10'),
        (SCORES[:11], TRUTH, r'shapes \(11,\) and \(12,\)'),
        ([*SCORES[:11], np.nan], TRUTH, '1 of 12 scores are not finite'),
        (SCORES, [*TRUTH[:10], np.inf, np.nan], '2 of 12 true accuracies are not finite'),
        (SCORES, [70.0] * 12, 'all 12 true accuracies are 70'),
    ],
)
def test_wrong_input(scores, truth, message):
    with pytest.raises(InputError, match=message):
        measure_ranking(scores, truth)


def test_a_table_of_the_benchmark_is_read_as_it_is_published(nasbench_macro_sample):
    raw = json.loads(nasbench_macro_sample.read_text())
    table = TruthTable.read(nasbench_macro_sample, get_space('nasbench_macro'))
    assert len(table) == 300 and table.repeats == 3
    truth = [table.mean(table.space.decode(arch)) for arch in raw]
    np.testing.assert_allclose(truth, [entry['mean_acc'] for entry in raw.values()], atol=1e-3)
    first, second, third = np.array([entry['test_acc'] for entry in raw.values()]).T
    pairs = [(first, second), (first, third), (second, third)]
    expected = np.mean([stats.kendalltau(a, b).statistic for a, b in pairs])
    assert tau_between_trainings(list(table.trainings.values())) == pytest.approx(expected)
