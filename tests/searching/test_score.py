import numpy as np
import pytest
from scipy.special import erf

from pinas_mm.errors import InputError
from pinas_mm.searching.history import Record
from pinas_mm.searching.posterior import posterior_means
from pinas_mm.searching.score import Score, Standing
from pinas_mm.spaces import get_space

SPACE = get_space('nasbench_macro')


def share(values, reference):
    """By the error function, from the quartiles."""
    lower, median, upper = np.percentile(reference, [25, 50, 75])
    return erf((values - median) / ((upper - lower) / 1.349) / np.sqrt(2)) / 2 + 0.5


def test_one_metric_is_the_score_as_it_is():
    score = Score('accuracy/top1')
    assert score.of({'accuracy/top1': 71.5, 'other': 1.0}) == 71.5
    assert (str(score), score.reference(200), score.is_sum) == ('accuracy/top1', 1, False)


def test_only_noisy_parts_are_smoothed():
    rng = np.random.default_rng(0)
    archs = list({SPACE.sample(rng): None for _ in range(60)})
    noisy, exact = rng.standard_normal((2, len(archs)))
    score = Score(dict(noisy=1, exact=3), exact=['exact'])
    metrics = [dict(noisy=a, exact=b) for a, b in zip(noisy, exact)]
    score.fit(metrics)
    records = [Record(i, a, score.of(m), m) for i, (a, m) in enumerate(zip(archs, metrics))]
    smooth = posterior_means(SPACE, archs, noisy)
    expected = share(smooth, noisy) + 3 * share(exact, exact)
    assert score.posterior_means(SPACE, records) == pytest.approx(expected)
    alone = Score('exact', exact=['exact'])
    assert alone.posterior_means(SPACE, records).tolist() == exact.tolist()


def test_a_part_without_spread_adds_nothing_and_is_named(monkeypatch):
    said = []
    monkeypatch.setattr('pinas_mm.searching.score.warn_once', said.append)
    score = Score(dict(flat=1, top1=1))
    score.fit([dict(flat=2.0, top1=x) for x in (1.0, 2.0, 3.0)])
    assert said == ['score: flat is the same for all of 3 archs, and adds nothing']
    assert score.of(dict(flat=5.0, top1=2.0)) == score.of(dict(flat=0.0, top1=2.0)) == 1.0
    assert score.of(dict(flat=0.0, top1=3.0)) > 1


def test_a_quarter_of_the_archs_tells_the_places():
    score = Score(dict(a=1))
    assert [score.reference(count) for count in (3, 20, 100, 1000)] == [2, 5, 25, 32]


def test_what_an_arch_lacks_does_not_count_for_the_spread():
    score = Score(dict(a=1, b=1))
    score.fit([dict(a=1.0), dict(a=3.0, b=float('nan')), dict(b=2.0), dict(b=6.0)])
    assert score.places == dict(a=Standing(2.0, 1 / 1.349), b=Standing(4.0, 2 / 1.349))


def test_a_place_is_the_share_of_random_archs_that_are_beaten():
    values = np.random.default_rng(0).normal(3, 2, 20_000)
    place = Standing.among(values)
    for value in (-1, 2, 3.5, 6):
        assert place(value) == pytest.approx((values < value).mean(), abs=0.01)
    assert place(values[:3]).shape == (3,)
    outliers = Standing.among([*values, *[1e9] * 20])
    assert outliers(5) == pytest.approx(place(5), abs=0.001), 'a few extreme values change little'
    # Three of four are equal: the quartiles are, but the archs are told apart.
    assert Standing.among([1, 1, 1, 1, 1, 5])(2) > Standing.among([1, 1, 1, 1, 1, 5])(1)
    assert Standing.among([np.nan, 7.0, -np.inf]) == Standing(7.0, 0.0)
    assert Standing.among([])(3.0) == 0.5


@pytest.mark.parametrize('parts', [{}, dict(top1=0), dict(top1=0.0, naswot=0)])
def test_a_sum_of_nothing_is_refused(parts):
    with pytest.raises(InputError, match="expected a metric's name, or the weight of each part"):
        Score(parts)
