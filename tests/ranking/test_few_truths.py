import numpy as np
import pytest
from sklearn.linear_model import BayesianRidge

from pinas_mm.errors import InputError
from pinas_mm.ranking.few_truths import FewTruths, archs_to_train
from pinas_mm.ranking.ranking import kendall_tau
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.spaces import get_space

SPACE = get_space('nasbench_macro')


@pytest.fixture
def archs():
    rng = np.random.default_rng(0)
    return list(dict.fromkeys(SPACE.canonical(SPACE.sample(rng)) for _ in range(400)))


@pytest.fixture
def truth(archs):
    """What is lacking of about 95 % multiplies along the network."""
    weights = np.random.default_rng(1).uniform(-0.3, 0.3, size=(8, 3))
    return 95 - 20 * np.exp(weights[range(8), np.array(archs)].sum(axis=1))


def test_accuracies_that_saturate_are_predicted_in_percent(archs, truth):
    nothing = np.empty((len(archs), 0))
    model = FewTruths(SPACE, archs[:60], truth[:60], nothing[:60])
    best, median = truth[:60].max(), np.median(truth[:60])
    predicted = model.predict(archs[60:], nothing[60:])
    assert kendall_tau(predicted, truth[60:]) > 0.9 and np.abs(predicted - truth[60:]).mean() < 2
    lacking = best + (best - median) / 2 - truth
    ridge = BayesianRidge().fit(SPACE.one_hot(archs[:60]), np.log(lacking[:60]))
    np.testing.assert_allclose(
        predicted,
        best + (best - median) / 2 - np.exp(ridge.predict(SPACE.one_hot(archs[60:]))),
        rtol=1e-6,
    )


def test_scores_tell_what_few_truths_cannot(archs, truth):
    """With 9 truths and 17 free weights, a score that follows the truth is worth much; one that
    follows nothing does little harm."""
    taus = {}
    for name, noise in dict(none=None, good=0.3, useless=1e6).items():
        scores = np.empty((len(archs), 0))
        if noise is not None:
            scores = (
                truth + noise * truth.std() * np.random.default_rng(2).normal(size=len(archs))
            )[:, None]
        model = FewTruths(SPACE, archs[:9], truth[:9], scores[:9])
        taus[name] = kendall_tau(model.predict(archs[9:], scores[9:]), truth[9:])
    assert taus['good'] > taus['none'] + 0.1 and taus['useless'] > taus['none'] - 0.15


def test_the_unit_of_a_score_and_a_constant_one_do_not_matter(archs, truth):
    scores = np.stack(
        [truth + np.random.default_rng(2).normal(size=len(archs)), np.full(len(archs), 7.0)], axis=1
    )
    first, second = (
        FewTruths(SPACE, archs[:20], truth[:20], x[:20]).predict(archs, x)
        for x in (scores, 1e6 * scores - 3e8)
    )
    np.testing.assert_allclose(first, second, rtol=1e-6)


def test_equal_accuracies_are_predicted_as_they_are(archs, truth):
    np.testing.assert_allclose(
        FewTruths(SPACE, archs[:10], [90.0] * 10, truth[:10, None]).predict(archs, truth[:, None]),
        90,
    )


@pytest.mark.parametrize('archs_, truths, rows', [(4, 4, 4), (10, 9, 10), (10, 10, 9)])
def test_wrong_input(archs, truth, archs_, truths, rows):
    with pytest.raises(InputError, match='expected as many of each, at least 5'):
        FewTruths(SPACE, archs[:archs_], truth[:truths], truth[:rows, None])


def test_archs_to_train_cover_every_candidate_evenly(archs):
    chosen = archs_to_train(SPACE, archs, 18)
    assert len(set(chosen)) == 18 and set(chosen) <= set(archs)
    counts = np.array(
        [[sum(arch[slot] == choice for arch in chosen) for choice in range(3)] for slot in range(8)]
    )
    assert counts.min() >= 3 and counts.max() <= 9
    x = SPACE.one_hot(archs).astype(float) - SPACE.one_hot(archs).mean(axis=0)

    def information(rows):
        return np.linalg.slogdet(np.eye(24) / 10 + rows.T @ rows)[1]

    drawn = [
        information(x[np.random.default_rng(seed).permutation(len(archs))[:18]])
        for seed in range(50)
    ]
    assert information(x[[archs.index(arch) for arch in chosen]]) > max(drawn)


def test_each_arch_to_train_is_the_one_that_adds_most(archs):
    """The determinant that the greedy design maximises, by brute force."""
    pool = archs[:40]
    chosen = archs_to_train(SPACE, pool, 6)
    x = SPACE.one_hot(pool).astype(float) - SPACE.one_hot(pool).mean(axis=0)
    taken = []
    for arch in chosen:
        gains = [
            np.linalg.slogdet(np.eye(24) / 10 + x[[*taken, i]].T @ x[[*taken, i]])[1]
            for i in range(40)
        ]
        assert gains[pool.index(arch)] == pytest.approx(
            max(gain for i, gain in enumerate(gains) if i not in taken)
        )
        taken.append(pool.index(arch))


def test_more_to_train_than_there_are(archs):
    with pytest.raises(InputError, match='11 archs to train asked of a pool of 10'):
        archs_to_train(SPACE, archs[:10], 11)


def test_on_the_benchmark(nasbench_macro_sample):
    table = TruthTable.read(nasbench_macro_sample, SPACE)
    networks = table.networks()
    truth = {arch: table.mean(arch) for arch in networks}
    taus = []
    for seed in range(5):
        chosen = table.sample(30, seed)
        others = [arch for arch in networks if arch not in set(chosen)]
        model = FewTruths(SPACE, chosen, [truth[arch] for arch in chosen], np.empty((30, 0)))
        taus.append(
            kendall_tau(
                model.predict(others, np.empty((len(others), 0))),
                np.array([truth[arch] for arch in others]),
            )
        )
    assert np.mean(taus) > 0.79
