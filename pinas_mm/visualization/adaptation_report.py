"""The report of an adaptation: one HTML file made of the files of its work dir."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import TypedDict

from ..fileio import read_json
from ..schema import Measured, NotNegative, WholeNumber, check
from ..spaces import SearchSpace, get_space
from .interactive_plots import lines
from .report_page import Page, code, duration, facts, paragraph, table
from .run_facts import REPORT_HTML, RunFacts, tool_command, unique
from .search_report import (
    COST_TITLES,
    HISTORY,
    SearchRun,
    add_drawings,
    add_scores,
    cost_text,
    limits_text,
    size_text,
    versions_text,
    warnings_section,
)
from .training_logs import curve, logged_warnings

ADAPT_JSON = 'adapt.json'
STEP_TITLES = dict(
    supernet='fine-tune the supernet', search='search', subnet='fine-tune the found network'
)

# The folders of trainings, and what each trains.
TRAININGS = dict(
    supernet='supernet',
    subnet='found network',
    fixed='(a) source arch',
    scratch='(b) from scratch',
    other_weights="(c) source's weights",
)


class Step(TypedDict):
    """What a step took; operations are MACs of all passes over images."""

    seconds: NotNegative
    operations: NotNegative


class Slot(TypedDict):
    """The names of a slot's candidates in the source arch and in the found one."""

    slot: WholeNumber
    source: str
    found: str


class TestedRow(Step):
    """One trained network: its metrics on the test set, what it costs and what was spent on it."""

    arch: str
    metrics: dict[str, Measured]
    costs: dict[str, NotNegative]


@dataclass(frozen=True)
class AdaptFile:
    """What ``adapt.json`` holds, see :meth:`pinas_mm.pipelines.adaptation.Adaptation.run`."""

    config: str
    supernet: str | None
    steps: dict[str, Step]
    arch: str | None = None
    source_arch: str | None = None
    source_costs: dict[str, NotNegative] = field(default_factory=dict)
    slots: tuple[Slot, ...] = ()
    rows: dict[str, TestedRow] = field(default_factory=dict)

    @classmethod
    def read(cls, work_dir: str | os.PathLike) -> 'AdaptFile':
        """Reads the file of a work dir.

        Raises:
            InputError: It is missing or not one.
        """
        path = Path(work_dir) / ADAPT_JSON
        return check(cls, read_json(path), str(path))


def write_adaptation_report(
    work_dir: str | os.PathLike, path: str | os.PathLike | None = None
) -> Path:
    """Writes the report of an adaptation from the files of its work dir alone: ``adapt.json``, and
    where they are there ``search/``, ``report.json`` and the logs of the steps.

    Args:
        work_dir: The work dir.
        path: The file to write. Defaults to ``report.html`` in the work dir.

    Returns:
        The path written.

    Raises:
        InputError: A file is missing or cannot be read.
    """
    folder = Path(work_dir)
    adapted, known = AdaptFile.read(folder), RunFacts.read(folder, 'adaptation')
    run = SearchRun.read(folder / 'search') if (folder / 'search' / HISTORY).exists() else None
    space: SearchSpace | None = None
    if run is not None:
        space = run.space
    elif known is not None:
        space = get_space(known.space, str(folder / 'report.json'))
    if known is not None and space is not None:
        known = known.of_space(space, str(folder / 'report.json'))
    page = Page(f'Adaptation with {space.name}' if space else 'Adaptation')
    add_result(page, adapted)
    stages = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    arisen = [*(run.facts.warnings if run and run.facts else ()), *logged_warnings(stages)]
    warnings_section(page, unique(arisen))
    if adapted.rows:
        page.section('On the test set', *tested(adapted))
    if space is not None:
        subnet = run.subnet if run else None
        add_drawings(page, space, known, subnet)
    if adapted.slots:
        page.section('What changed from the source', *changes(adapted))
    if run is not None:
        add_scores(page, run)
    add_training(page, folder)
    add_steps(page, adapted, run)
    page.section('What was asked', asked(adapted, known, run, space))
    page.section('What to do next', *next_commands(folder, adapted, known))
    return page.write(path or folder / REPORT_HTML)


def add_result(page: Page, adapted: AdaptFile) -> None:
    """The result in one sentence and a few numbers."""
    spent = sum(step['seconds'] for step in adapted.steps.values())
    if not adapted.rows:
        done = ', '.join(STEP_TITLES.get(name, name) for name in adapted.steps)
        page.lead(f'Not finished: no network is tested yet. Done: {done}.')
        page.numbers({'time so far': duration(spent)})
        return
    row = next(iter(adapted.rows.values()))
    page.lead(
        f'The adapted network is arch {row["arch"]}'
        + (f'; the source was {adapted.source_arch}.' if adapted.source_arch else '.')
    )
    numbers = {f'{name}, test set': f'{value:.4g}' for name, value in row['metrics'].items()}
    for name in ('macs', 'params', 'latency'):
        if name in row['costs']:
            before = adapted.source_costs.get(name)
            share = f', {row["costs"][name] / before:.0%} of the source' if before else ''
            numbers[COST_TITLES[name] + share] = cost_text(name, row['costs'][name])
    numbers['time'] = duration(spent)
    page.numbers(numbers)


def tested(adapted: AdaptFile) -> list[str]:
    """The networks that were trained and tested, a row each."""
    rows = adapted.rows
    metrics = list(dict.fromkeys(name for row in rows.values() for name in row['metrics']))
    first = next(iter(rows.values()))
    costs = [name for name in ('macs', 'params', 'latency') if name in first['costs']]
    titles = ['network', *metrics, *(COST_TITLES[name] for name in costs), 'time', 'operations']
    cells = [
        [
            title,
            *(f'{row["metrics"][m]:.4g}' if m in row['metrics'] else '-' for m in metrics),
            *(cost_text(name, row['costs'][name]) for name in costs),
            duration(row['seconds']),
            operations(row['operations']),
        ]
        for title, row in rows.items()
    ]
    note = (
        'Each network was trained once, with the same number of operations: small differences may '
        'be chance.'
        if len(rows) > 1
        else 'Without the comparison: --until compare trains other networks with the same budget.'
    )
    return [table(titles, cells, [0]), paragraph(note, 'quiet')]


def changes(adapted: AdaptFile) -> list[str]:
    """The slots in which the found arch differs from the source's."""
    changed = [slot for slot in adapted.slots if slot['source'] != slot['found']]
    text = f'{len(changed)} of {len(adapted.slots)} slots differ.'
    if not changed:
        return [paragraph(text)]
    rows = [[str(slot['slot']), slot['source'], slot['found']] for slot in changed]
    return [paragraph(text), table(['slot', 'source', 'found'], rows, texts=3)]


def add_training(page: Page, folder: Path) -> None:
    """The losses of the trainings, as far as there are logs."""
    curves = {
        title: curve(folder / name, 'loss')
        for name, title in TRAININGS.items()
        if (folder / name).is_dir()
    }
    curves = {name: points for name, points in curves.items() if points[0]}
    if curves:
        page.section(
            'The trainings',
            page.plot(lines(curves, 'iteration', 'training loss'), 'loss of every training'),
        )


def add_steps(page: Page, adapted: AdaptFile, run: SearchRun | None) -> None:
    """What each step took, and what the search was forecast to take."""
    rows = [
        [STEP_TITLES.get(name, name), duration(step['seconds']), operations(step['operations'])]
        for name, step in adapted.steps.items()
    ]
    seconds = sum(step['seconds'] for step in adapted.steps.values())
    work = sum(step['operations'] for step in adapted.steps.values())
    rows.append(['in all', duration(seconds), operations(work)])
    parts = [table(['step', 'time', 'operations'], rows, [len(rows) - 1])]
    known = run.facts if run else None
    if known and known.forecast_seconds is not None:
        parts.append(
            paragraph(
                f'The search was forecast to take {duration(known.forecast_seconds)} after its '
                f'first {known.forecast_archs} archs; it took {duration(known.seconds)}.',
                'quiet',
            )
        )
    page.section('Time and work', *parts)


def operations(value: float) -> str:
    """Operations of a training: MACs of all its passes."""
    for unit, name in ((1e18, 'E'), (1e15, 'P'), (1e12, 'T'), (1e9, 'G')):
        if value >= unit:
            return f'{value / unit:.3g} {name}'
    return f'{value:.3g}'


def asked(
    adapted: AdaptFile, known: RunFacts | None, run: SearchRun | None, space: SearchSpace | None
) -> str:
    """What was asked."""
    return facts(
        {
            'space': space and f'{space.name}: {space.num_slots} slots, {size_text(space)} archs',
            'limits': limits_text(run) if run else None,
            'config': (known and known.config) or adapted.config,
        }
        | dict(known.settings if known else {})
        | {'command': known and known.command, 'versions': versions_text(known)}
    )


def next_commands(folder: Path, adapted: AdaptFile, known: RunFacts | None) -> Sequence[str]:
    """The next commands, their paths filled in."""
    if not adapted.rows:
        if known is None or not known.command:
            return [paragraph('Run the same command again to go on.')]
        return [paragraph('Go on with the next steps:'), code(known.command)]
    subnet = shlex.quote(str(folder / 'search/subnet.yaml'))
    config = shlex.quote(known.config) if known and known.config else 'CONFIG.py'
    checkpoints = sorted((folder / 'subnet').glob('*.pth'), key=lambda path: path.stat().st_mtime)
    checkpoint = shlex.quote(str(checkpoints[-1] if checkpoints else folder / 'subnet/CHECKPOINT'))
    return [
        paragraph('Export the adapted network:'),
        code(
            f'{tool_command("export")} {subnet} \\\n    --checkpoint {checkpoint} \\\n'
            f'    --config {config}'
        ),
        paragraph('Test it again:'),
        code(
            f'{tool_command("test")} {config} {checkpoint} \\\n'
            f'    --cfg-options model.backbone.arch={subnet}'
        ),
    ]
