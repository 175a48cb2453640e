"""What a search maximises: one metric, or a sum of several scores that err differently. No
torch."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, warn_once
from ..spaces import SearchSpace
from .history import Record
from .posterior import posterior_means

# So many random archs tell the spread of each part: its standard deviation to about an eighth.
REFERENCE = 32


class Score:
    """The score of an arch by its metrics, higher is better.

    A sum counts its parts in spreads: a part of an arch is its distance from the mean of the first
    archs of the search, which are random, in their standard deviations. A supernet's likelihood and
    NASWOT differ in unit and size; so neither outweighs the other, and the weights say what is
    meant.

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
        self.spreads: dict[str, tuple[float, float]] = {}

    def __str__(self) -> str:
        return ' + '.join(
            name if weight == 1 else f'{weight:g} {name}' for name, weight in self.parts.items()
        )

    @property
    def reference(self) -> int:
        """How many archs are evaluated before the first of them has a score."""
        return REFERENCE if self.is_sum else 1

    def fit(self, metrics: Sequence[Mapping[str, float]]) -> None:
        """Takes the spread of each part of a sum from the metrics of random archs; those that lack
        one do not count for it. A part that is equal for all adds nothing, which is said once."""
        for name in self.parts if self.is_sum else ():
            values = np.array([found[name] for found in metrics if name in found], float)
            values = values[np.isfinite(values)]
            mean, spread = (values.mean(), values.std()) if len(values) else (0.0, 0.0)
            self.spreads[name] = float(mean), float(spread)
            if spread == 0:
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
        return float(sum(self._in_spreads(name, metrics[name]) for name in self.parts))

    def expected(self, space: SearchSpace, records: Sequence[Record]) -> NDArray[np.float64]:
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
            total += self._in_spreads(name, values) if self.is_sum else values
        return total

    def _in_spreads(self, name: str, value: float | NDArray[np.float64]) -> Any:
        mean, spread = self.spreads[name]
        return self.parts[name] * (value - mean) / spread if spread else value * 0.0
