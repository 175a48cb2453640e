"""The report of a ranking: one HTML file made of the files of its work dir."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np
from typing_extensions import NotRequired, TypedDict

from ..fileio import read_json
from ..schema import NotNegative, Number, WholeNumber, check, some_keys
from ..searching.additive import AdditiveModel
from ..spaces import Arch, SearchSpace, get_space
from .interactive_plots import truth_against_score
from .report_page import Page, code, details, digits_for, facts, paragraph, table
from .run_facts import REPORT_HTML, RunFacts, tool_command
from .search_report import (
    LEAST_FOR_EFFECTS,
    effect_parts,
    size_text,
    versions_text,
    warnings_section,
)

RANKING_JSON = 'ranking.json'
# Rankers with a plot of their own: the best, and MACs, which every ranker has to beat.
PLOTS = 4
# Rankers drawn with their intervals; the table has all.
SHOWN = 8


class Interval(TypedDict):
    """A statistic with its 95 % interval; None where it is undefined."""

    value: Number | None
    low: Number | None
    high: Number | None


@some_keys
class RankerData(TypedDict):
    """The statistics of one ranker that the page shows."""

    tau: Interval
    regret_best: NotRequired[Number | None]
    regret_top10: NotRequired[Number | None]
    percentile: NotRequired[Interval]
    undefined: NotRequired[str | None]


@some_keys
class SampleData(TypedDict):
    """One sample of archs; ``perfect`` is there for classes of equal cost alone."""

    archs: WholeNumber
    ceiling: Number | None
    rankings: dict[str, RankerData]
    perfect: NotRequired[RankerData]
    left_out: NotRequired[list[str]]


class RankedArch(TypedDict):
    """One arch: its truth in %, every ranker's score."""

    arch: str
    truth: Number
    trainings: list[Number]
    macs: NotNegative
    samples: list[str]
    scores: dict[str, Number | None]


@dataclass(frozen=True)
class RankingFile:
    """What ``ranking.json`` holds, see
    :func:`pinas_mm.ranking.ranking_report.write_scores`."""

    samples: dict[str, SampleData]
    archs: tuple[RankedArch, ...]
    config: str | None = None
    checkpoint: str | None = None
    truth: str | None = None
    seed: WholeNumber | None = None
    trained: tuple[str, ...] = field(default=())

    @classmethod
    def read(cls, work_dir: str | os.PathLike) -> 'RankingFile':
        """Reads the file of a work dir.

        Raises:
            InputError: It is missing or not one.
        """
        path = Path(work_dir) / RANKING_JSON
        return check(cls, read_json(path), str(path))


def write_ranking_report(
    work_dir: str | os.PathLike, path: str | os.PathLike | None = None
) -> Path:
    """Writes the report of a ranking from the files of its work dir alone: ``ranking.json``, and
    where it is there ``report.json``.

    Args:
        work_dir: The work dir.
        path: The file to write. Defaults to ``report.html`` in the work dir.

    Returns:
        The path written.

    Raises:
        InputError: A file is missing or cannot be read.
    """
    folder = Path(work_dir)
    ranking, known = RankingFile.read(folder), RunFacts.read(folder, 'ranking')
    space = None if known is None else get_space(known.space, str(folder / 'report.json'))
    page = Page('Ranking of archs' + (f' of {space.name}' if space else ''))
    add_result(page, ranking)
    if known is not None:
        warnings_section(page, known.warnings)
    for name, sample in ranking.samples.items():
        page.section(sample_title(name, sample), *sample_parts(sample))
    if space is not None:
        archs = [space.decode(entry['arch'], str(folder / RANKING_JSON)) for entry in ranking.archs]
        add_plots(page, space, ranking, archs)
        add_effects(page, space, ranking, archs)
    page.section(
        'What was asked',
        facts(
            {
                'space': space
                and f'{space.name}: {space.num_slots} slots, {size_text(space)} archs',
                'true accuracies': ranking.truth,
                'checkpoint': ranking.checkpoint or 'none: rankers that need no supernet',
                'config': ranking.config,
                'seed': ranking.seed,
                'command': known and known.command,
                'versions': versions_text(known),
            }
            | dict(known.settings if known else {})
        ),
    )
    page.section('What to do next', *next_commands(folder, ranking))
    return page.write(path or folder / REPORT_HTML)


def measure_of(sample: SampleData) -> str:
    """The statistic that a sample is about: the percentile within classes of equal cost, else
    tau."""
    return 'percentile' if 'perfect' in sample else 'tau'


def in_order(sample: SampleData) -> list[tuple[str, Interval]]:
    """The rankers of a sample with their main statistic, the best first; those without one are left
    out."""
    measure = measure_of(sample)
    found = [(name, _interval(data, measure)) for name, data in sample['rankings'].items()]
    return sorted(
        ((name, interval) for name, interval in found if interval['value'] is not None),
        key=lambda pair: -(pair[1]['value'] or 0.0),
    )


def sample_title(name: str, sample: SampleData) -> str:
    """The heading of a sample."""
    what = {
        'uniform': 'archs drawn uniformly',
        'stratified': 'archs drawn evenly over the accuracies',
        'equal-cost': 'archs in classes of equal cost',
    }
    return f'{sample["archs"]} {what.get(name, f"archs, {name}")}'


def add_result(page: Page, ranking: RankingFile) -> None:
    """The result in one sentence and a few numbers."""
    name, sample = next(iter(ranking.samples.items()))
    order = in_order(sample)
    if not order:
        page.lead('No ranker gives the archs an order.')
        return
    best, interval = order[0]
    low, high = interval['low'], interval['high']
    page.lead(
        f'{best} orders the archs best: {_text(interval, measure_of(sample))} '
        f'({sample_title(name, sample)}).'
    )
    close = [
        other
        for other, data in order[1:]
        if low is not None and data['high'] is not None and data['high'] >= low
    ]
    numbers = {
        f'{measure_of(sample)} of {best}': _text(interval, measure_of(sample)).partition(' ')[0],
        'rankers compared': str(len(sample['rankings'])),
        'others whose interval overlaps the best': str(len(close)),
        'archs with a true accuracy': f'{len(ranking.archs):,}',
    }
    if high is not None and sample['ceiling'] is not None:
        numbers['tau between two trainings (ceiling)'] = f'{sample["ceiling"]:.2f}'
    page.numbers(numbers)


def sample_parts(sample: SampleData) -> list[str]:
    """The rankers of a sample: a dot with its interval for each, and the table."""
    measure, order = measure_of(sample), in_order(sample)
    shown = [pair for i, pair in enumerate(order) if i < SHOWN or pair[0] == 'macs']
    text = (
        'The equal-cost percentile: how good the best-scored arch is among archs of equal MACs. A '
        'random choice has 50.'
        if measure == 'percentile'
        else 'Kendall tau with the true accuracies: 1 is the true order, 0 is chance.'
    )
    if sample['ceiling'] is not None and measure == 'tau':
        text += f' The dashed line is the tau between two trainings, {sample["ceiling"]:.2f}.'
    rows = []
    unordered = [name for name in sample['rankings'] if name not in dict(order)]
    for name in [*dict(order), *unordered]:
        data, row = sample['rankings'][name], [name]
        if measure == 'percentile':
            row.append(_text(data.get('percentile', data['tau']), 'percentile'))
        row.append(_text(data['tau'], 'tau'))
        for key in ('regret_best', 'regret_top10'):
            if measure == 'tau':
                value = data.get(key)
                row.append('-' if value is None else f'{value:.1f}')
        rows.append(row)
    titles = ['ranker', *(['percentile [95 %]'] if measure == 'percentile' else [])]
    titles += ['tau [95 %]'] if measure == 'tau' else ['tau in class [95 %]']
    titles += ['regret, best', 'regret, best of 10'] if measure == 'tau' else []
    undefined = [
        f'{name}: {data["undefined"]}'
        for name, data in sample['rankings'].items()
        if data.get('undefined')
    ]
    notes = [*undefined, *(f'left out: {reason}' for reason in sample.get('left_out', []))]
    return [
        paragraph(text, 'quiet'),
        forest_svg(shown, measure, sample['ceiling'] if measure == 'tau' else None),
        paragraph(f'The best {SHOWN} of {len(order)} rankers, and MACs.', 'quiet')
        if len(order) > len(shown)
        else '',
        details('All numbers', table(titles, rows)),
        *(paragraph(note, 'quiet') for note in notes),
    ]


def forest_svg(order: Sequence[tuple[str, Interval]], measure: str, ceiling: float | None) -> str:
    """For each ranker a dot with its 95 % interval, the best first."""
    width, row, left, right = 340, 32, 4, 296
    ends = [
        end
        for _, data in order
        for end in (data['low'], data['value'], data['high'])
        if end is not None
    ]
    low, high = (0.0, 100.0) if measure == 'percentile' else (min(0.0, *ends, 0.0), 1.0)
    zero = 50.0 if measure == 'percentile' else 0.0

    def at(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    height = row * len(order) + 4
    parts = [
        f'<line x1="{at(zero):.1f}" x2="{at(zero):.1f}" y1="0" y2="{height}" stroke="#a8b2bb"/>'
    ]
    if ceiling is not None:
        parts.append(
            f'<line x1="{at(ceiling):.1f}" x2="{at(ceiling):.1f}" y1="0" y2="{height}" '
            f'stroke="#a34700" stroke-dasharray="5 4" stroke-width="1.5"/>'
        )
    for number, (name, data) in enumerate(order):
        y, value = number * row + 25, data['value'] or 0.0
        first = value if data['low'] is None else data['low']
        last = value if data['high'] is None else data['high']
        parts.append(
            f'<text x="0" y="{y - 10}" font-size="11.5" fill="#1b2733" stroke="#ffffff" '
            f'stroke-width="4" paint-order="stroke">{escape(name)}</text>'
            f'<line x1="{at(first):.1f}" x2="{at(last):.1f}" y1="{y}" y2="{y}" '
            f'stroke="#0a5a94" stroke-width="3" stroke-linecap="round"/>'
            f'<circle cx="{at(value):.1f}" cy="{y}" r="4.5" fill="#0a5a94"/>'
            f'<text x="{width}" y="{y + 4}" font-size="11.5" text-anchor="end" fill="#1b2733">'
            f'{_text(data, measure).partition(" ")[0]}</text>'
        )
    return (
        f'<svg viewBox="0 0 {width} {height}" style="width:100%;max-width:440px;height:auto" '
        f'role="img" aria-label="{measure} of every ranker" '
        f'font-family="system-ui, sans-serif">{"".join(parts)}</svg>'
    )


def add_plots(page: Page, space: SearchSpace, ranking: RankingFile, archs: Sequence[Arch]) -> None:
    """True accuracy against the score of the best rankers and of MACs."""
    order = [name for name, _ in in_order(next(iter(ranking.samples.values())))]
    names = list(dict.fromkeys([*order[:PLOTS], *(['macs'] if 'macs' in order else [])]))
    plots = []
    for name in names:
        known = [
            (arch, entry, entry['scores'][name])
            for arch, entry in zip(archs, ranking.archs)
            if entry['scores'].get(name) is not None
        ]
        if known:
            drawn = truth_against_score(
                space,
                [arch for arch, _, _ in known],
                [float(score or 0.0) for _, _, score in known],
                [entry['truth'] for _, entry, _ in known],
                [entry['macs'] for _, entry, _ in known],
                name,
            )
            plots.append(page.plot(drawn, f'true accuracy against {name}'))
    page.section(
        'True accuracy against score',
        paragraph(
            'Each dot is an arch, the lighter the more MACs. Colours that run along the cloud say '
            'that a ranker follows MACs.',
            'quiet',
        ),
        f'<div class="grid">{"".join(plots)}</div>' if plots else '',
    )


def add_effects(
    page: Page, space: SearchSpace, ranking: RankingFile, archs: Sequence[Arch]
) -> None:
    """Which candidates truly good archs share."""
    truth = [entry['truth'] for entry in ranking.archs]
    if len(truth) < LEAST_FOR_EFFECTS or np.ptp(truth) == 0:
        return
    model = AdditiveModel(space, archs, truth)
    page.section(
        'What truly good archs share',
        *effect_parts(model, archs, min(2, digits_for(model.noise)), 'true accuracy'),
    )


def next_commands(folder: Path, ranking: RankingFile) -> list[str]:
    """The next commands, their paths filled in."""
    config = shlex.quote(ranking.config or 'CONFIG.py')
    checkpoint = f' {shlex.quote(ranking.checkpoint)}' if ranking.checkpoint else ''
    return [
        paragraph('Search by the score that ranks best; docs/ranking.md says which scores search:'),
        code(f'{tool_command("search")} {config}{checkpoint}'),
        paragraph('Make this page again, or compare several rankings:'),
        code(f'{tool_command("report")} {shlex.quote(str(folder))} [ANOTHER_WORK_DIR ...]'),
    ]


def statistic_text(data: RankerData, measure: str) -> str:
    """The main statistic of a ranker with its interval, as text."""
    return _text(_interval(data, measure), measure)


def _interval(data: RankerData, measure: str) -> Interval:
    return data['percentile'] if measure == 'percentile' and 'percentile' in data else data['tau']


def _text(interval: Interval, measure: str) -> str:
    """The value with its interval, as many digits as that justifies."""
    value, low, high = interval['value'], interval['low'], interval['high']
    if value is None:
        return '-'
    digits = 0 if measure == 'percentile' else 2
    if low is None or high is None:
        return f'{value:.{digits}f}'
    return f'{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]'
