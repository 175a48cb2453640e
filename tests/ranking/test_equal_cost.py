import itertools

import numpy as np
import pytest
from scipy.stats import kendalltau

from pinas_mm.errors import InputError
from pinas_mm.ranking.equal_cost import EqualCost, measure_equal_cost, percentiles
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.spaces import get_space

SPACE = get_space('nasbench_macro')
NETWORKS = sorted({SPACE.canonical(arch) for arch in itertools.product(range(3), repeat=8)})


def table_of(costs, truth):
    """Networks with given costs and accuracies, and the measure on them."""
    table = TruthTable(SPACE, {arch: (value,) for arch, value in zip(NETWORKS, truth)}, 'truth.csv')
    return EqualCost(table, np.array(costs, float))


@pytest.fixture
def equal():
    """600 networks of many costs; accuracies have one digit, so that some are equal."""
    rng = np.random.default_rng(0)
    return table_of(rng.uniform(100, 160, 600), rng.uniform(60, 70, 600).round(1))


def percentile_by_hand(cost, truth, others):
    """Others of equal cost, counted one by one; ties as halves."""
    worse = [
        1 if other_truth < truth else 0.5 if other_truth == truth else 0
        for other_cost, other_truth in others
        if 0.95 * cost <= other_cost <= cost
    ]
    return 100 * sum(worse) / len(worse)


def test_a_hand_made_class():
    """20 archs of costs 95 to 100 and a found one; what is dearer or cheaper does not count."""
    costs = [*np.linspace(95, 100, 20), 100, 94.9, 100.1]
    truth = [*range(60, 80), 71, 0, 90]
    equal = table_of(costs, truth)
    assert equal.percentile(NETWORKS[20]) == pytest.approx(100 * (11 + 0.5) / 20)


def test_percentiles_are_those_counted_by_loops(equal):
    found = list(zip(equal.costs, equal.truth))
    for i in range(0, 600, 23):
        try:
            percentile = equal.percentile(equal.networks[i])
        except InputError as error:
            count = sum(0.95 * found[i][0] <= cost <= found[i][0] for cost, _ in found) - 1
            assert count < 20 and f': {count} other networks of the table' in str(error)
            continue
        others = [other for j, other in enumerate(found) if j != i]
        assert percentile == pytest.approx(percentile_by_hand(*found[i], others))


def test_another_form_of_a_network_stands_where_the_network_does(equal):
    other = (0, 0, 0, 0, 1, 0, 0, 0)
    assert SPACE.canonical(other) in equal.networks and other not in equal.networks
    assert equal.percentile(other) == equal.percentile(SPACE.canonical(other))


def test_a_class_of_fewer_than_20_archs_is_one_line():
    costs = [*[100] * 20, *[200] * 21]
    equal = table_of(costs, range(41))
    assert equal.percentile(NETWORKS[20]) == 0 and equal.percentile(NETWORKS[40]) == 100
    with pytest.raises(
        InputError,
        match='^truth.csv: arch 00000000: 19 other networks of the table are within 5 % below cost '
        '100: a percentile needs at least 20$',
    ):
        equal.percentile(NETWORKS[0])
    with pytest.raises(InputError, match='arch 22222222 is not among its 41 archs'):
        equal.percentile((2,) * 8)


def test_limits_are_percentiles_of_all_costs(equal):
    costs = np.sort(equal.costs)
    expected = []
    for share in np.arange(1, 10) / 10:
        place = share * (len(costs) - 1)
        low = int(place)
        expected.append(costs[low] + (place - low) * (costs[low + 1] - costs[low]))
    np.testing.assert_allclose(equal.limits(), expected)
    np.testing.assert_allclose(equal.limits(3), np.array(expected)[[0, 4, 8]])


def test_classes_are_drawn_from_the_archs_of_equal_cost(equal):
    classes, left_out = equal.draw(25, seed=3)
    assert len(classes) == 9 and not left_out
    truth = dict(zip(equal.networks, equal.truth))
    costs = dict(zip(equal.networks, equal.costs))
    for members, limit in zip(classes, equal.limits()):
        within = [arch for arch in equal.networks if 0.95 * limit <= costs[arch] <= limit]
        assert (members.limit, members.size) == (limit, len(within)) and len(within) > 25
        assert len(members.archs) == len(set(members.archs)) == 25
        assert set(members.archs) <= set(within) and members.archs == sorted(members.archs)
        for arch, value, percentile in zip(
            members.archs, members.truth, members.percentiles, strict=True
        ):
            others = [(0, truth[other]) for other in within if other != arch]
            assert value == truth[arch]
            assert percentile == pytest.approx(percentile_by_hand(0, value, others))
    again, other = equal.draw(25, seed=3)[0], equal.draw(25, seed=4)[0]
    assert [members.archs for members in again] == [members.archs for members in classes]
    assert [members.archs for members in other] != [members.archs for members in classes]


def test_small_classes_are_drawn_whole_or_left_out():
    equal = table_of([*[10] * 30, *[20] * 15, *[30] * 25], np.arange(70) % 7)
    classes, left_out = equal.draw(40)
    assert [len(members.archs) for members in classes] == [30] * 4 + [25] * 3
    text = '14 other networks of the table are within 5 % below cost 20: a percentile needs at '
    assert left_out == [f'{text}least 20'] * 2
    # As for one arch: 20 networks are 19 others.
    assert [m.size for m in table_of([10] * 20 + [20] * 21, np.arange(41)).draw(40)[0]] == [21] * 5
    with pytest.raises(InputError, match='9 archs of each class asked: expected at least 10'):
        equal.draw(9)


def measured_by_hand(classes, scores, drawn):
    """The means over classes for the archs ``drawn`` of each, by loops."""
    picks, taus = [], []
    for members, values, chosen in zip(classes, scores, drawn, strict=True):
        best = max(values[i] for i in chosen)
        tied = [members.percentiles[i] for i in chosen if values[i] == best]
        picks.append(sum(tied) / len(tied))
        x, y = [values[i] for i in chosen], [members.truth[i] for i in chosen]
        taus.append(np.nan_to_num(kendalltau(x, y).statistic))
    return np.mean(picks), np.mean(taus)


def test_the_measure_of_a_ranker_against_loops(equal):
    classes, _ = equal.draw(20)
    rng = np.random.default_rng(1)
    scores = [(members.truth + rng.normal(0, 3, 20)).round() for members in classes]  # with ties
    found = measure_equal_cost(classes, scores, resamples=2000)
    percentile, tau = measured_by_hand(classes, scores, [range(20)] * 9)
    assert (found.percentile.value, found.tau.value) == pytest.approx((percentile, tau))
    resampled = [
        measured_by_hand(classes, scores, rng.integers(20, size=(9, 20))) for _ in range(500)
    ]
    ends = np.percentile(resampled, [2.5, 97.5], axis=0)
    np.testing.assert_allclose([found.percentile.low, found.percentile.high], ends[:, 0], atol=2)
    np.testing.assert_allclose([found.tau.low, found.tau.high], ends[:, 1], atol=0.04)
    assert measure_equal_cost(classes, scores) == measure_equal_cost(classes, scores)
    assert measure_equal_cost(classes, scores).tau != measure_equal_cost(classes, scores, 1).tau


def test_a_perfect_ranker_an_opposite_one_and_one_that_says_nothing():
    rng = np.random.default_rng(0)
    equal = table_of(rng.uniform(100, 160, 3000), rng.uniform(0, 100, 3000))
    perfect, opposite = [], []
    for seed in range(20):
        classes, _ = equal.draw(20, seed)
        truth = [members.truth for members in classes]
        perfect.append(measure_equal_cost(classes, truth, resamples=2))
        opposite.append(measure_equal_cost(classes, [-values for values in truth], resamples=2))
    assert {round(found.tau.value, 9) for found in perfect} == {1}
    assert {round(found.tau.value, 9) for found in opposite} == {-1}
    values = [found.percentile.value for found in perfect]
    assert np.mean(values) == pytest.approx(100 * 20 / 21, abs=0.5)
    values = [found.percentile.value for found in opposite]
    assert np.mean(values) == pytest.approx(100 / 21, abs=0.5)
    nothing = measure_equal_cost(classes, [np.ones(20)] * 9)
    assert nothing.tau.value == nothing.tau.low == nothing.tau.high == 0
    assert nothing.percentile.value == pytest.approx(
        np.mean([members.percentiles.mean() for members in classes])
    )
    with pytest.raises(InputError, match='1 of 20 scores are not finite numbers'):
        measure_equal_cost(classes, [*truth[:8], np.array([np.nan, *truth[8][1:]])])


def test_the_percentiles_of_a_class_are_between_0_and_100():
    np.testing.assert_allclose(percentiles(np.array([3.0, 1, 2, 2, 9])), [75, 0, 37.5, 37.5, 100])
