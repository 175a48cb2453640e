"""The equal-cost percentile: how good an arch is among archs that cost the same. No torch.

A search gets a limit on cost, so what it has to tell apart are archs at that limit. tau over a
whole table says little about that: costs alone order archs of different cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..errors import InputError
from ..spaces import Arch
from .ranking import LEAST_ARCHS, Estimate, check_finite
from .truth import TruthTable

# Archs of equal cost: from 5 % below a cost up to it.
LEAST_COST = 0.95
# Among fewer other archs a percentile is too coarse.
LEAST_CLASS = 20
# Limits are spread evenly between these percentiles of the costs of all networks.
LOWEST, HIGHEST, NUM_LIMITS = 10, 90, 9


@dataclass(frozen=True)
class CostClass:
    """Archs that were drawn from all networks of equal cost.

    Args:
        limit: The highest cost of the class.
        size: How many networks of the table the class has.
        archs: The archs drawn, sorted.
        truth: Their mean true accuracies in %, ``(n, )``.
        percentiles: Their percentiles within the whole class, ``(n, )``, see :func:`percentiles`.
    """

    limit: float
    size: int
    archs: list[Arch]
    truth: np.ndarray
    percentiles: np.ndarray


@dataclass(frozen=True)
class EqualCostRanking:
    """How scores order archs of equal cost, means over the classes.

    Args:
        percentile: The percentile of the best-scored arch, in %; 50 is a random choice.
        tau: Kendall's tau-b.
    """

    percentile: Estimate
    tau: Estimate


class EqualCost:
    """The distinct networks of a truth table, compared with those of equal cost.

    Archs of equal cost are those from 5 % below a cost up to it.

    Args:
        table: The true accuracies.
        costs: The cost of each of ``table.networks()``, ``(N, )``: MACs, in any unit.
    """

    def __init__(self, table: TruthTable, costs: np.ndarray) -> None:
        self.table = table
        self.networks = table.networks()
        self.costs = np.asarray(costs, float)
        self.truth = np.array([table.mean(arch) for arch in self.networks])

    def percentile(self, arch: Arch) -> float:
        """The equal-cost percentile of an arch: the share in % of the other networks of equal cost
        whose true accuracy is lower. Those of equal accuracy count half.

        Raises:
            InputError: The arch is not in the table, or fewer than 20 others cost the same.
        """
        self.table[arch]  # raises where it is not there
        found = self.networks.index(self.table.space.canonical(arch))
        members = self.within(self.costs[found])
        if len(members) <= LEAST_CLASS:
            raise InputError(
                f'{self.table.source}: arch {self.table.space.encode(arch)}: '
                + _too_few(len(members) - 1, self.costs[found])
            )
        return float(percentiles(self.truth[members])[members.tolist().index(found)])

    def within(self, limit: float) -> np.ndarray:
        """The indices in ``networks`` of those whose cost is from 5 % below a limit up to it."""
        return np.flatnonzero((LEAST_COST * limit <= self.costs) & (self.costs <= limit))

    def limits(self, count: int = NUM_LIMITS) -> np.ndarray:
        """Limits on the cost, ``(count, )``: the 10th to 90th percentile of the costs of all
        networks, by default in steps of ten."""
        return np.percentile(self.costs, np.linspace(LOWEST, HIGHEST, count))

    def draw(self, count: int, seed: int = 0) -> tuple[list[CostClass], list[str]]:
        """Draws archs at each of the nine limits.

        Args:
            count: How many archs of each class, at least ten; all where a class has fewer.
            seed: Seed of the draw.

        Returns:
            The classes, and why a limit is left out, where an arch of its class has fewer than 20
            others.

        Raises:
            InputError: Fewer than ten archs asked.
        """
        if count < LEAST_ARCHS:
            raise InputError(f'{count} archs of each class asked: expected at least {LEAST_ARCHS}')
        rng = np.random.default_rng(seed)
        classes, left_out = [], []
        for limit in self.limits():
            members = self.within(limit)
            if len(members) <= LEAST_CLASS:
                left_out.append(_too_few(max(0, len(members) - 1), limit))
                continue
            truth = self.truth[members]
            drawn = np.sort(rng.permutation(len(members))[:count])
            classes.append(
                CostClass(
                    float(limit),
                    len(members),
                    [self.networks[i] for i in members[drawn]],
                    truth[drawn],
                    percentiles(truth)[drawn],
                )
            )
        return classes, left_out


def percentiles(truth: np.ndarray) -> np.ndarray:
    """For each arch of a class the share in % of the others whose true accuracy is lower, ``(N,
    )``. Those of equal accuracy count half."""
    return 100 * (stats.rankdata(truth) - 1) / (len(truth) - 1)


def measure_equal_cost(
    classes: Sequence[CostClass], scores: Sequence[np.ndarray], seed: int = 0, resamples: int = 1000
) -> EqualCostRanking:
    """Compares scores with true accuracies within classes of equal cost.

    Of each class the best-scored of the drawn archs is looked up among all of the class. Where
    several have the best score, their mean counts: which of them is named is luck. With n archs
    drawn, a perfect ranker's mean percentile is about 100 n / (n + 1), since the best of the class
    is seldom drawn: 97.6 for n = 40.

    A class of equal scores has a tau of 0: nothing is ordered. Intervals are percentile bootstrap
    intervals over the drawn archs, resampled within each class. Of an arch that is the best of its
    class, a third of the resamples know nothing, so the interval of the percentile reaches further
    down than up.

    Args:
        classes: The classes.
        scores: For each class the scores of its archs, ``(n, )``, higher is better.
        seed: Seed of the resampling.
        resamples: How often to resample.

    Raises:
        InputError: A score is not finite.
    """
    rng = np.random.default_rng(seed)
    found = []
    for members, values in zip(classes, scores, strict=True):
        values = np.asarray(values, float)
        check_finite('scores', values)
        count = len(values)
        # How often each arch is there: once in the sample itself, which comes first.
        times = np.concatenate(
            [np.ones((1, count)), rng.multinomial(count, np.full(count, 1 / count), size=resamples)]
        )
        found.append(
            (_picked(times, values, members.percentiles), _tau(times, values, members.truth))
        )
    return EqualCostRanking(
        *(
            Estimate(float(means[0]), *map(float, np.percentile(means[1:], (2.5, 97.5))))
            for means in np.mean(found, axis=0)
        )
    )


def _picked(times: np.ndarray, scores: np.ndarray, percentiles: np.ndarray) -> np.ndarray:
    """The percentile of the best-scored arch of each resample, ``(R, )``."""
    there = np.where(times > 0, scores, -np.inf)
    best = times * (there == there.max(axis=1, keepdims=True))
    return best @ percentiles / best.sum(axis=1)


def _tau(times: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of each resample, ``(R, )``: sums over pairs, each as often as it is
    there."""
    x, y = (np.sign(values[:, None] - values) for values in (scores, truth))
    both, of_x, of_y = (((times @ pairs) * times).sum(axis=1) for pairs in (x * y, x * x, y * y))
    pairs = np.sqrt(of_x * of_y)
    return np.divide(both, pairs, out=np.zeros_like(pairs), where=pairs > 0)


def _too_few(count: int, cost: float) -> str:
    return (
        f'{count} other networks of the table are within 5 % below cost {cost:,.0f}: a percentile '
        f'needs at least {LEAST_CLASS}'
    )
