"""What a search maximises: one metric, or a sum of several scores that err differently. No
torch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from ..errors import InputError, warn_once
from ..spaces import SearchSpace
from .history import Record
from .posterior import posterior_means

# So many random archs tell where the middle of each part lies, and how wide it is. More are not
# asked for it.
REFERENCE = 32
# Interquartile range of a normal distribution, in standard deviations.
QUARTILES = 1.349


@dataclass(frozen=True)
class Standing:
    """Where a value stands among those of random archs: the share that it beats, as a normal
    distribution with their median and interquartile range has it.

    Args:
        median: Of the values of random archs.
        spread: Their standard deviation, as their interquartile range gives it; where that is 0,
            the standard deviation itself. 0 where all are equal.
    """

    median: float
    spread: float

    @classmethod
    def among(cls, values: ArrayLike) -> 'Standing':
        """The places among some values ``(N, )``; those that are not finite do not count."""
        finite = np.array(values, float)
        finite = finite[np.isfinite(finite)]
        if not len(finite):
            return cls(0.0, 0.0)
        lower, median, upper = np.percentile(finite, [25, 50, 75])
        return cls(float(median), float((upper - lower) / QUARTILES or finite.std()))

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Shares, 0 to 1, of values of any shape; 0.5 for all where random archs are equal."""
        distances = (np.asarray(values, float) - self.median) / (self.spread or np.inf)
        return np.asarray(norm.cdf(distances))


class Score:
    """The score of an arch by its metrics, higher is better.

    Each part of a sum counts by the share of random archs that it beats (:class:`Standing`), and
    the first archs of a search are random. A supernet's likelihood and NASWOT differ in unit and
    size; so neither outweighs the other, no part rules by a few extreme values, and the weights say
    what is meant. Sums of ranks order archs as well on NAS-Bench-Macro and better on NAS-Bench-201
    than sums in standard deviations (docs/results/ranking_trials.md). A share is like a rank among
    the first archs, and still tells apart those that beat all of these.

    Args:
        parts: The name of one metric, which is the score as it is; or the weight of each part of a
            sum by its name, such as ``{'score/neg_loss': 1, 'naswot': 1}``.
        exact: Names of what has no noise, such as scores that train nothing. The other parts are
            smoothed over archs before the winner is named.

    Raises:
        InputError: No part, or only weights of 0.
    """

    def __init__(self, parts: str | Mapping[str, float], exact: Collection[str] = ()) -> None:
        self.is_sum = not isinstance(parts, str)
        self.parts = {parts: 1.0} if isinstance(parts, str) else dict(parts)
        if not any(self.parts.values()):
            raise InputError(
                f"score={parts}: expected a metric's name, or the weight of each part by its "
                f"name, such as {{'score/neg_loss': 1, 'naswot': 1}}"
            )
        self.exact = frozenset(exact)
        self.places: dict[str, Standing] = {}

    def __str__(self) -> str:
        return ' + '.join(
            name if weight == 1 else f'{weight:g} {name}' for name, weight in self.parts.items()
        )

    @property
    def label(self) -> str:
        """A short name for log lines and axes: the metric's, or ``'score'`` of a sum."""
        return 'score' if self.is_sum else str(self)

    def reference(self, num_archs: int) -> int:
        """How many archs of a budget are evaluated before the first of them has a score: of a sum a
        quarter, so that a small search is no random draw to its end, and at most 32."""
        return max(2, min(REFERENCE, num_archs // 4)) if self.is_sum else 1

    def fit(self, metrics: Sequence[Mapping[str, float]]) -> None:
        """Takes the places of a sum's parts from the metrics of random archs; those that lack one
        do not count for it. A part that is equal for all adds nothing, which is said once."""
        for name in self.parts if self.is_sum else ():
            values = [found[name] for found in metrics if name in found]
            self.places[name] = Standing.among(values)
            if self.places[name].spread == 0:
                warn_once(
                    f'score: {name} is the same for all of {len(values)} archs, and adds nothing'
                )

    def of(self, metrics: Mapping[str, float]) -> float:
        """The score of an arch.

        Raises:
            KeyError: It lacks a part.
        """
        if not self.is_sum:
            (name,) = self.parts
            return metrics[name]
        return float(sum(self._term(name, metrics[name]) for name in self.parts))

    def posterior_means(self, space: SearchSpace, records: Sequence[Record]) -> NDArray[np.float64]:
        """The score to expect of each arch, ``(N, )``: noisy parts are replaced by their posterior
        means (:func:`~.posterior.posterior_means`).

        Args:
            space: The archs' space.
            records: Records that have a score.
        """
        archs = [record.arch for record in records]
        total = np.zeros(len(records))
        for name in self.parts:
            values = np.array([record.metrics[name] for record in records], float)
            if name not in self.exact:
                values = posterior_means(space, archs, values)
            total += self._term(name, values) if self.is_sum else values
        return total

    def _term(self, name: str, values: ArrayLike) -> NDArray[np.float64]:
        return self.parts[name] * self.places[name](values)
