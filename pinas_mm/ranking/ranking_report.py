"""The rankings of several rankers over the same archs: a table for people, and a file of every
number."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from ..fileio import write_atomic
from ..spaces import Arch, SearchSpace
from .equal_cost import CostClass, EqualCostRanking, measure_equal_cost
from .ranking import Estimate, Ranking, measure_ranking, tau_between_trainings
from .truth import TruthTable

TITLES = (
    'ranker',
    'tau [95 %]',
    'rho [95 %]',
    'r [95 %]',
    'tau, top half',
    'tau, top 10 %',
    'regret, best',
    'regret, best of 10',
)
# As many as a terminal of 100 columns has place for.
SHORT_TITLES = ('ranker', 'tau [95 %]', 'regret, best')
EQUAL_COST_TITLES = ('ranker', 'equal-cost percentile [95 %]', 'tau in class [95 %]')


@dataclass(frozen=True)
class RankingReport:
    """Rankers compared on one sample of archs.

    Args:
        title: What the sample is.
        archs: The archs.
        truth: Their mean true accuracies in %, ``(N, )``.
        scores: For each ranker its scores, ``(N, )``, higher is better.
        rankings: The statistics of each ranker, see
            :func:`~pinas_mm.ranking.ranking.measure_ranking`.
        ceiling: tau between two trainings of these archs, or NaN where they were trained once.
    """

    title: str
    archs: list[Arch]
    truth: np.ndarray
    scores: dict[str, np.ndarray]
    rankings: dict[str, Ranking]
    ceiling: float

    @classmethod
    def measure(
        cls,
        title: str,
        archs: Sequence[Arch],
        table: TruthTable,
        scores: dict[str, np.ndarray],
        seed: int = 0,
    ) -> 'RankingReport':
        """Compares every ranker's scores with the table.

        Raises:
            InputError: What :func:`~pinas_mm.ranking.ranking.measure_ranking` raises.
        """
        truth = np.array([table.mean(arch) for arch in archs])
        rankings = {name: measure_ranking(values, truth, seed) for name, values in scores.items()}
        return cls(
            title,
            list(archs),
            truth,
            scores,
            rankings,
            tau_between_trainings([table[arch] for arch in archs]),
        )

    def text(self, titles: Sequence[str] = TITLES) -> str:
        """The table in Markdown, and below it what it cannot say.

        Args:
            titles: Its columns, of ``TITLES``.
        """
        notes = [
            f'- {name}: {ranking.undefined}'
            for name, ranking in self.rankings.items()
            if ranking.undefined
        ]
        if not math.isnan(self.ceiling):
            notes.append(f'- ceiling, tau between two trainings: {self.ceiling:.3f}')
        rows = [
            (
                name,
                *map(_interval, (ranking.tau, ranking.rho, ranking.r)),
                *map(
                    _number,
                    (
                        ranking.tau_top_half,
                        ranking.tau_top_tenth,
                        ranking.regret_best,
                        ranking.regret_top10,
                    ),
                ),
            )
            for name, ranking in self.rankings.items()
        ]
        shown = [TITLES.index(title) for title in titles]
        return _markdown(self.title, titles, [[row[i] for i in shown] for row in rows], notes)

    def data(self) -> dict[str, Any]:
        """The statistics as plain data; what is undefined is None."""
        return dict(
            archs=len(self.archs),
            ceiling=self.ceiling,
            rankings={name: asdict(r) for name, r in self.rankings.items()},
        )


@dataclass(frozen=True)
class EqualCostReport:
    """Rankers compared within classes of archs of equal cost.

    Args:
        title: What the sample is.
        space: The archs' space.
        classes: The classes, and the archs that were drawn of each.
        left_out: Why there is no class at the other limits.
        archs: All archs drawn, sorted.
        truth: Their mean true accuracies in %, ``(N, )``.
        scores: For each ranker its scores, ``(N, )``, higher is better.
        rankings: For each ranker its means over the classes, see
            :func:`~pinas_mm.ranking.equal_cost.measure_equal_cost`.
        perfect: What a ranker gets that scores by the truth.
        ceiling: tau between two trainings within the classes, or NaN where archs were trained once.
    """

    title: str
    space: SearchSpace
    classes: list[CostClass]
    left_out: list[str]
    archs: list[Arch]
    truth: np.ndarray
    scores: dict[str, np.ndarray]
    rankings: dict[str, EqualCostRanking]
    perfect: EqualCostRanking
    ceiling: float

    @classmethod
    def measure(
        cls,
        title: str,
        classes: list[CostClass],
        left_out: list[str],
        table: TruthTable,
        scores: Mapping[str, Mapping[Arch, float]],
        seed: int = 0,
    ) -> 'EqualCostReport':
        """Compares every ranker's scores with the table; for each ranker, scores are by arch.

        Raises:
            InputError: What :func:`~pinas_mm.ranking.equal_cost.measure_equal_cost` raises.
        """
        archs = sorted({arch for members in classes for arch in members.archs})
        rankings = {
            name: measure_equal_cost(
                classes,
                [np.array([values[arch] for arch in members.archs]) for members in classes],
                seed,
            )
            for name, values in scores.items()
        }
        return cls(
            title,
            table.space,
            classes,
            left_out,
            archs,
            np.array([table.mean(arch) for arch in archs]),
            {name: np.array([values[arch] for arch in archs]) for name, values in scores.items()},
            rankings,
            measure_equal_cost(classes, [members.truth for members in classes], seed),
            float(
                np.mean(
                    [
                        tau_between_trainings([table[arch] for arch in members.archs])
                        for members in classes
                    ]
                )
            ),
        )

    def text(self) -> str:
        """The table in Markdown, and below it what it cannot say."""
        notes = [
            f'- a perfect ranker of these archs: percentile {self.perfect.percentile.value:.1f}; '
            f'a random choice: 50'
        ]
        if not math.isnan(self.ceiling):
            notes.append(f'- ceiling, tau in class between two trainings: {self.ceiling:.3f}')
        notes += [f'- left out: {reason}' for reason in self.left_out]
        return _markdown(
            self.title,
            EQUAL_COST_TITLES,
            [
                (name, _interval(ranking.percentile, 1), _interval(ranking.tau))
                for name, ranking in self.rankings.items()
            ],
            notes,
        )

    def data(self) -> dict[str, Any]:
        """The statistics as plain data; what is undefined is None."""
        return dict(
            archs=len(self.archs),
            classes=[
                dict(
                    limit=members.limit,
                    networks=members.size,
                    archs=[self.space.encode(arch) for arch in members.archs],
                    percentiles=members.percentiles.tolist(),
                )
                for members in self.classes
            ],
            left_out=self.left_out,
            perfect=asdict(self.perfect),
            ceiling=self.ceiling,
            rankings={name: asdict(r) for name, r in self.rankings.items()},
        )


def write_scores(
    path: str | os.PathLike,
    reports: Mapping[str, RankingReport | EqualCostReport],
    table: TruthTable,
    macs: dict[Arch, float],
    header: dict[str, Any],
) -> None:
    """Writes every arch's scores, truth and MACs, and the statistics, as JSON.

    Args:
        path: The file to write.
        reports: The reports by the name of their sample; an arch may be in several.
        table: The true accuracies.
        macs: The MACs of every arch.
        header: What the scores are of.
    """
    archs: dict[Arch, dict[str, Any]] = {}
    for sample, report in reports.items():
        for i, arch in enumerate(report.archs):
            entry = archs.setdefault(
                arch,
                dict(
                    arch=table.space.encode(arch),
                    truth=table.mean(arch),
                    trainings=list(table[arch]),
                    macs=macs[arch],
                    samples=[],
                    scores={},
                ),
            )
            entry['samples'].append(sample)
            entry['scores'] |= {name: float(values[i]) for name, values in report.scores.items()}
    data = header | dict(
        samples={name: report.data() for name, report in reports.items()},
        archs=list(archs.values()),
    )
    text = json.dumps(_without_nan(data), indent=1, allow_nan=False)
    write_atomic(path, lambda file: file.write(text.encode()))


def _markdown(
    title: str, titles: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]
) -> str:
    table = Table(box=box.MARKDOWN)
    for name in titles:
        table.add_column(name, justify='left' if name == 'ranker' else 'right', no_wrap=True)
    for row in rows:
        table.add_row(*row)
    written = StringIO()
    Console(file=written, width=200).print(table)
    below = ''.join(f'\n{note}' for note in notes)
    return f'{title}\n{written.getvalue().rstrip()}\n{below}\n'


def _interval(estimate: Estimate, digits: int = 3) -> str:
    """The value, and its interval with one digit less, or as many where it has one."""
    if math.isnan(estimate.value):
        return '-'
    low, high = (f'{end:.{max(1, digits - 1)}f}' for end in (estimate.low, estimate.high))
    return f'{estimate.value:.{digits}f} [{low}, {high}]'


def _number(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.2f}'


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_without_nan(value) for value in data]
    return None if isinstance(data, float) and math.isnan(data) else data
