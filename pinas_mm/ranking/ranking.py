"""How well scores order archs against their true accuracies. No torch, no Runner."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb, nan
from typing import Any

import numpy as np
from scipy import stats

from ..errors import InputError

# Of fewer archs every interval spans most of [-1, 1]; within a part of them (the top tenth) of
# fewer than LEAST_PART.
LEAST_ARCHS = 10
LEAST_PART = 5


@dataclass(frozen=True)
class Estimate:
    """A statistic with its 95 % interval; NaN where it is undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Ranking:
    """How scores order archs.

    Args:
        tau: Kendall's tau-b.
        rho: Spearman's rank correlation.
        r: Pearson's correlation.
        tau_top_half, tau_top_tenth: tau-b among the truly best half and tenth; NaN for fewer than
            five archs, or equal ones.
        regret_best: The best true accuracy minus that of the best-scored arch, in the truth's unit:
            points of accuracy.
        regret_top10: The same for the best of the ten best-scored archs.
        num_archs: How many archs were compared.
        undefined: Why there is no tau, or None.
    """

    tau: Estimate
    rho: Estimate
    r: Estimate
    tau_top_half: float
    tau_top_tenth: float
    regret_best: float
    regret_top10: float
    num_archs: int
    undefined: str | None = None


def measure_ranking(
    scores: Sequence[float] | np.ndarray,
    truth: Sequence[float] | np.ndarray,
    seed: int = 0,
    resamples: int = 1000,
) -> Ranking:
    """Compares scores with true accuracies.

    Intervals are percentile bootstrap intervals over archs, resampled in pairs of score and truth.
    On samples of 40 and 120 archs of NAS-Bench-Macro they held the tau of the whole table in 90 to
    99 % of 150 draws, as BCa intervals did, which are undefined for scores in exactly the true
    order. What is fitted to the scores of all archs (smoothing, few truths) is not fitted again,
    and a stratified sample is taken for a random one, whose interval is wider.

    Args:
        scores: ``(N, )``, higher is better.
        truth: ``(N, )`` accuracies of the same archs.
        seed: Seed of the resampling.
        resamples: How often to resample.

    Returns:
        The statistics. For scores that are all equal the correlations are NaN and ``undefined``
        says why, so that one ranker of a table may fail alone; its regrets are those of choosing at
        random.

    Raises:
        InputError: Fewer than ten archs, not one score per arch, a score or accuracy that is not
            finite, or equal accuracies only.
    """
    x, y = np.asarray(scores, float), np.asarray(truth, float)
    if x.shape != y.shape or x.ndim != 1:
        raise InputError(
            f'a ranking needs one score and one accuracy per arch, not arrays of shapes {x.shape} '
            f'and {y.shape}'
        )
    if len(x) < LEAST_ARCHS:
        raise InputError(
            f'a ranking of {len(x)} archs says nothing: expected at least {LEAST_ARCHS}'
        )
    for name, values in (('scores', x), ('true accuracies', y)):
        check_finite(name, values)
    if np.ptp(y) == 0:
        raise InputError(f'all {len(y)} true accuracies are {y[0]:g}: no order to compare with')
    undefined = f'all {len(x)} scores are {x[0]:g}: tau is undefined' if np.ptp(x) == 0 else None
    best_first = np.argsort(-y, kind='stable')
    tau, rho, r = (
        _interval(statistic, x, y, seed, resamples)
        for statistic in (kendall_tau, _spearman, _pearson)
    )
    top_half, top_tenth = (
        _tau_within(best_first[: round(len(y) * part)], x, y) for part in (0.5, 0.1)
    )
    regrets = [max(0.0, float(y.max()) - expected_best(x, y, count)) for count in (1, 10)]
    return Ranking(
        tau=tau,
        rho=rho,
        r=r,
        tau_top_half=top_half,
        tau_top_tenth=top_tenth,
        regret_best=regrets[0],
        regret_top10=regrets[1],
        num_archs=len(y),
        undefined=undefined,
    )


def check_finite(name: str, values: np.ndarray) -> None:
    """Whether all values are numbers; ``name`` says what they are.

    Raises:
        InputError: One is not.
    """
    if not np.isfinite(values).all():
        raise InputError(
            f'{np.sum(~np.isfinite(values))} of {len(values)} {name} are not finite numbers'
        )


def kendall_tau(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's tau-b; NaN where either is constant."""
    return float(
        stats.kendalltau(x, y, method='asymptotic').statistic
    )  # the method is that of the p-value: the exact one is slow


def expected_best(scores: np.ndarray, truth: np.ndarray, count: int) -> float:
    """The best truth to expect among the ``count`` best-scored archs, where archs of equal score
    are taken at random.

    Some rankers, such as depth, give many archs the same score; any fixed order would be luck.
    """
    if count >= len(scores):
        return float(truth.max())
    edge = np.sort(scores)[-count]
    certain, tied = truth[scores > edge], np.sort(truth[scores == edge])[::-1]
    drawn, draws = count - len(certain), comb(len(tied), count - len(certain))
    # tied[i] is the best drawn where all others drawn are among those after it.
    floor = certain.max(initial=-np.inf)
    return float(
        sum(
            comb(len(tied) - 1 - i, drawn - 1) / draws * max(value, floor)
            for i, value in enumerate(tied)
        )
    )


def tau_between_trainings(trainings: Sequence[Sequence[float]]) -> float:
    """tau-b between two trainings of the same archs, the mean over all pairs of repeats: what noise
    in the truth alone leaves.

    Scores are compared with means over repeats, which are less noisy, so a perfect ranker may lie
    somewhat above.

    Args:
        trainings: For each arch the accuracies of its repeated trainings; archs with one are left
            out.

    Returns:
        The ceiling, or NaN where fewer than ten archs have two trainings.
    """
    repeated = [accuracies for accuracies in trainings if len(accuracies) > 1]
    if len(repeated) < LEAST_ARCHS:
        return nan
    columns = np.array([accuracies[: min(map(len, repeated))] for accuracies in repeated]).T
    return float(
        np.mean(
            [kendall_tau(first, second) for first, second in itertools.combinations(columns, 2)]
        )
    )


def _tau_within(part: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    return kendall_tau(x[part], y[part]) if len(part) >= LEAST_PART else nan


def _spearman(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    return _pearson(stats.rankdata(x, axis=axis), stats.rankdata(y, axis=axis), axis)


def _pearson(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    x, y = (values - values.mean(axis, keepdims=True) for values in (x, y))
    with np.errstate(invalid='ignore'):
        return (x * y).sum(axis) / np.sqrt((x * x).sum(axis) * (y * y).sum(axis))


def _interval(
    statistic: Callable[..., Any], x: np.ndarray, y: np.ndarray, seed: int, resamples: int
) -> Estimate:
    if np.ptp(x) == 0:
        return Estimate(nan, nan, nan)
    interval = stats.bootstrap(
        (x, y),
        statistic,
        n_resamples=resamples,
        paired=True,
        confidence_level=0.95,
        method='percentile',
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(float(statistic(x, y)), float(interval.low), float(interval.high))
