"""The rankings of several rankers over the same archs: a table for people, and a file of every
number."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from ..fileio import write_atomic
from ..spaces import Arch
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

    def text(self) -> str:
        """The table in Markdown, and below it what it cannot say."""
        table = Table(box=box.MARKDOWN)
        for title in TITLES:
            table.add_column(title, justify='left' if title == 'ranker' else 'right', no_wrap=True)
        for name, ranking in self.rankings.items():
            table.add_row(
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
        written = StringIO()
        Console(file=written, width=200).print(table)
        notes = [
            f'- {name}: {ranking.undefined}'
            for name, ranking in self.rankings.items()
            if ranking.undefined
        ]
        if not math.isnan(self.ceiling):
            notes.append(f'- ceiling, tau between two trainings: {self.ceiling:.3f}')
        return (
            f'{self.title}\n{written.getvalue().rstrip()}\n'
            + ''.join(f'\n{note}' for note in notes)
            + '\n'
        )

    def data(self) -> dict[str, Any]:
        """The statistics as plain data; what is undefined is None."""
        return dict(
            archs=len(self.archs),
            ceiling=self.ceiling,
            rankings={name: asdict(r) for name, r in self.rankings.items()},
        )


def write_scores(
    path: str | os.PathLike,
    reports: dict[str, RankingReport],
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


def _interval(estimate: Estimate) -> str:
    return (
        '-'
        if math.isnan(estimate.value)
        else f'{estimate.value:.3f} [{estimate.low:.2f}, {estimate.high:.2f}]'
    )


def _number(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.2f}'


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_without_nan(value) for value in data]
    return None if isinstance(data, float) and math.isnan(data) else data
