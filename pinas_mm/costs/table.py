"""Costs of archs as sums over tables, and limits on them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np

from ..errors import InputError
from ..schema import Expected, NotNegative, Positive
from ..spaces import Arch, SearchSpace

Array = np.ndarray[Any, Any]
# The most of each cost, or the least and the most, either None.
Limits = Mapping[
    str,
    Annotated[
        Positive | tuple[NotNegative | None, Positive | None] | None,
        Expected('the most, or the least and the most', '4e6 or [1e6, 4e6]'),
    ],
]


class CostTable:
    """Sums the costs of positions, or of their parallel slots, to the costs of whole archs, in
    microseconds an arch.

    Args:
        space: The space.
        fixed: For each cost, what every arch pays: stem, tail, and whatever else the model runs.
        tables: For each cost, one array per term of ``space.cost_terms``, indexed by the candidates
            of the slots it depends on; in a chain space that is one per position.
        notes: What to know about the numbers, one sentence each, for logs.

    Attributes:
        stem_macs: MACs of the stem, which are among those of every arch. 0 where they were not
            measured.
    """

    def __init__(
        self,
        space: SearchSpace,
        fixed: dict[str, float],
        tables: dict[str, list[Array]],
        notes: Sequence[str] = (),
    ) -> None:
        self.space = space
        self.fixed = fixed
        self.tables = tables
        self.notes = tuple(notes)
        self.stem_macs = 0

    def add(self, name: str, fixed: float, tables: list[Array]) -> None:
        """Adds another cost."""
        self.fixed[name] = fixed
        self.tables[name] = tables

    def arch_costs(self, arch: Arch) -> dict[str, float]:
        """The costs of one arch: ``{'macs': ..., 'backbone_macs': ..., 'params': ...}`` in units of
        one, ``latency`` in ms."""
        return {name: self.array(name, [arch])[0].item() for name in self.fixed}

    def array(self, name: str, archs: Sequence[Arch] | Array) -> Array:
        """One cost of many archs, an array of length ``len(archs)``: int64, or float64 for latency.

        Raises:
            InputError: There is no such cost.
        """
        if name not in self.fixed:
            raise InputError(f'unknown cost {name!r}, expected one of {sorted(self.fixed)}')
        choices = np.asarray(archs)
        total = np.full(len(choices), self.fixed[name])
        for (_, slots), table in zip(self.space.cost_terms, self.tables[name], strict=True):
            total += table[tuple(choices[:, slot] for slot in slots)]
        return total

    def slot_costs(self, name: str) -> list[Array]:
        """For each slot what its candidates cost, over all positions that read it: arrays of length
        ``num_candidates[slot]``. What every arch pays is not among them: the fixed cost, and
        positions that read no slot.

        Raises:
            InputError: Positions read several slots together, so that a slot has no cost alone.
        """
        totals = [np.zeros(count) for count in self.space.num_candidates]
        for (index, slots), table in zip(self.space.cost_terms, self.tables[name], strict=True):
            if len(slots) > 1:
                raise InputError(
                    f'space {self.space.name!r}: position {index} reads slots {list(slots)} '
                    f'together, so the {name} of one slot alone are not known; expected a space '
                    f'whose positions read one slot each, or are parallel'
                )
            if slots:
                totals[slots[0]] += table
        return totals

    def term_costs(self, name: str, arch: Arch) -> list[float]:
        """What each term of ``space.cost_terms`` adds to one cost of an arch of a supernet. Their
        sum lies below the cost of the whole arch by what every arch pays: stem, tail and head.

        Every entry of a parallel position holds what the position's other slots cost with their
        first candidate; that is taken out here.
        """
        costs: list[float] = []
        for (index, slots), table in zip(self.space.cost_terms, self.tables[name], strict=True):
            position = self.space.positions[index]
            cost = float(table[tuple(arch[slot] for slot in slots)])
            if position.parallel and name != 'latency':
                cost -= float(table.flat[0]) * (1 - 1 / len(position.slots))
            costs.append(cost)
        return costs

    def range(self, name: str) -> tuple[float, float]:
        """The least and the most that an arch costs.

        Exact where two terms depend either on the same slots or on none in common, and where one
        arch has the least of every term, as the smallest one of an elastic space; else the range is
        too wide."""
        joint: dict[tuple[int, ...], Array] = {}
        for (_, slots), table in zip(self.space.cost_terms, self.tables[name], strict=True):
            joint[slots] = joint[slots] + table if slots in joint else table
        fixed = self.fixed[name]
        least = fixed + sum(table.min() for table in joint.values())
        return float(least), float(fixed + sum(table.max() for table in joint.values()))

    def quartiles(self, name: str, num_archs: int = 1000, seed: int = 0) -> tuple[float, ...]:
        """What archs of the space cost: the least, the quartiles of random archs, and the most.

        Args:
            name: The cost.
            num_archs: How many archs are drawn; of 1,000 a quartile is off by less than 2 % of
                them.
            seed: Of the draw.

        Raises:
            InputError: There is no such cost.
        """
        costs = self.array(name, self.space.sample_array(np.random.default_rng(seed), num_archs))
        least, most = self.range(name)
        return (least, *np.quantile(costs, (0.25, 0.5, 0.75)).tolist(), most)

    def range_text(self, name: str) -> str:
        """:meth:`quartiles` for people, in one line: ``macs from 4e+06 to 9.5e+06, quartiles …``"""
        least, *middle, most = self.quartiles(name)
        quartiles = ', '.join(f'{value:.4g}' for value in middle)
        return f'{name} from {least:.4g} to {most:.4g}, quartiles {quartiles}'


class Constraints:
    """Limits on costs, inclusive: ``Constraints(table, macs=(None, 50e6))``.

    Args:
        table: The costs of the space.
        limits: For each limited cost, ``(least, most)``, either of them None; or one number, the
            most.

    Raises:
        InputError: A cost the table does not have, or limits the wrong way round.
    """

    def __init__(self, table: CostTable, **limits: float | Sequence[float | None] | None) -> None:
        self.table = table
        self.limits: dict[str, tuple[float, float]] = {}
        for name, limit in limits.items():
            if name not in table.fixed:
                needs = (
                    '; latency needs latency_table, a file of tools/latency.py'
                    if name == 'latency'
                    else ''
                )
                raise InputError(
                    f'constraints: unknown cost {name!r}, expected one of '
                    f'{sorted(table.fixed)}{needs}'
                )
            if limit is None:
                continue
            low, high = (None, limit) if isinstance(limit, int | float) else _pair(name, limit)
            low, high = -np.inf if low is None else low, np.inf if high is None else high
            if low > high:
                raise InputError(f'constraints: {name} of at least {low:g} and at most {high:g}')
            self.limits[name] = (low, high)

    def mask(self, archs: Sequence[Arch] | Array) -> Array:
        """Which archs keep every limit, a bool array of length ``len(archs)``."""
        keep = np.ones(len(archs), bool)
        for name, (low, high) in self.limits.items():
            cost = self.table.array(name, archs)
            keep &= (low <= cost) & (cost <= high)
        return keep

    def cost(self, name: str, archs: Sequence[Arch] | Array) -> Array:
        """One cost of many archs, see :meth:`CostTable.array`."""
        return self.table.array(name, archs)

    def text(self) -> str:
        """The limits for people: ``latency <= 50, 1e+06 <= macs <= 4e+06``."""
        return (
            ', '.join(
                f'{name} >= {low:g}'
                if high == np.inf
                else ('' if low == -np.inf else f'{low:g} <= ') + f'{name} <= {high:g}'
                for name, (low, high) in self.limits.items()
            )
            or 'no limits'
        )

    def ranges(self) -> str:
        """What archs cost of all that is limited (:meth:`CostTable.range_text`), and for each limit
        that few archs keep one that a quarter of them keep."""
        fitting = []
        for name, (low, high) in self.limits.items():
            _, few, _, most, _ = self.table.quartiles(name)
            if high < few:
                fitting.append(f'{name}={_rounded(few, np.ceil):g}')
            elif low > most > 0:
                fitting.append(f'{name}=({_rounded(most, np.floor):g}, None)')
        text = '; '.join(self.table.range_text(name) for name in self.limits)
        return text + ''.join(
            f'; expected for example {limit}, which a quarter of them keep' for limit in fitting
        )

    def __str__(self) -> str:
        """The limits as the header of a history has them."""
        return (
            ', '.join(f'{name} in [{low:g}, {high:g}]' for name, (low, high) in self.limits.items())
            or 'no constraints'
        )


def _rounded(value: float, towards: Callable[[float], float]) -> float:
    """A positive number with three digits, ``towards`` above it or below."""
    unit = 10.0 ** (np.floor(np.log10(value)) - 2)
    return float(towards(value / unit) * unit)


def _pair(name: str, limit: Any) -> tuple[float | None, float | None]:
    if (
        isinstance(limit, str)
        or len(limit) != 2
        or not all(end is None or isinstance(end, int | float) for end in limit)
    ):
        raise InputError(
            f'constraints: {name}={limit!r}, expected the most as a number, or (least, most)'
        )
    return tuple(limit)
