"""The report of a DSNAS run: one HTML file made of the files of its work dir."""

import os
import shlex
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from ..errors import InputError
from ..fileio import read_json
from ..schema import Measured, NotNegative, Probability, WholeNumber, check
from ..spaces import SearchSpace, get_space
from ..spaces.arch_text import candidate_names
from ..spaces.subnet_file import SubnetFile
from .arch_drawing import slot_fills
from .interactive_plots import lines
from .report_page import Page, code, drawings, duration, facts, paragraph
from .run_facts import REPORT_HTML, RunFacts, tool_command, unique
from .search_report import add_drawings, cost_text, size_text, versions_text, warnings_section
from .training_logs import curve, logged_warnings

DSNAS_JSON = 'dsnas.json'
# What the metrics are of, by the part of the config that says it.
METRICS_ON = dict(test='test set', val='held-out data')


def metrics_on(part: str) -> str:
    """The key of the settings in ``report.json`` that names the data of the metrics."""
    return f'metrics on the {part}'


class DSNASResult(TypedDict):
    """What ``dsnas.json`` holds: ``seconds`` by stage, and for each slot the probabilities of its
    candidates at the end of the first stage."""

    arch: str
    metrics: dict[str, Measured]
    costs: dict[str, NotNegative]
    seconds: dict[str, NotNegative]
    search_epochs: WholeNumber
    search_iterations: WholeNumber
    probabilities: list[list[Probability]]


def read_dsnas(work_dir: str | os.PathLike) -> DSNASResult:
    """Reads ``dsnas.json``.

    Raises:
        InputError: It is missing or not one.
    """
    path = Path(work_dir) / DSNAS_JSON
    return check(DSNASResult, read_json(path), str(path))


def write_dsnas_report(work_dir: str | os.PathLike, path: str | os.PathLike | None = None) -> Path:
    """Writes the report of a DSNAS run from the files of its work dir alone: ``dsnas.json``,
    ``subnet.yaml``, where they are there ``report.json`` and the logs of both stages.

    Args:
        work_dir: The work dir.
        path: The file to write. Defaults to ``report.html`` in the work dir.

    Returns:
        The path written.

    Raises:
        InputError: A file is missing or cannot be read.
    """
    folder = Path(work_dir)
    result, subnet = read_dsnas(folder), SubnetFile.read(folder / 'subnet.yaml')
    space = get_space(subnet.space, str(folder / 'subnet.yaml'))
    counts = [len(row) for row in result['probabilities']]
    if counts != [*space.num_candidates]:
        raise InputError(
            f'{folder / DSNAS_JSON}: probabilities of {counts} candidates, but space '
            f'{space.name!r} has {[*space.num_candidates]}'
        )
    known = RunFacts.read(folder, 'dsnas')
    if known is not None:
        known = known.of_space(space, str(folder / 'report.json'))
    stages = [folder / 'search', folder / 'train']
    page = Page(f'DSNAS on {space.name}')
    page.lead(
        f'The found network is arch {space.encode(subnet.arch)}. It is trained: no retraining '
        f'follows.'
    )
    settings = known.settings if known else {}
    where = next((f', {part}' for part in METRICS_ON.values() if metrics_on(part) in settings), '')
    numbers = {f'{name}{where}': f'{value:.4g}' for name, value in result['metrics'].items()}
    for name, title in (('macs', 'MACs'), ('params', 'parameters')):
        if name in result['costs']:
            numbers[title] = cost_text(name, result['costs'][name])
    numbers['time of training'] = duration(result['seconds'].get('total'))
    page.numbers(numbers)
    arisen = [*(known.warnings if known else ()), *logged_warnings(stages)]
    warnings_section(page, unique(arisen))
    add_drawings(page, space, known, subnet)
    page.section(
        'How sure the first stage was',
        paragraph(
            'The probability of each candidate at the end of the first stage; a slot that was '
            'fixed before has one candidate left. The name is that of the chosen one.',
            'quiet',
        ),
        drawings(
            probability_svgs(space, subnet.arch, result['probabilities']),
            [(fill, name) for name, fill in slot_fills(space).items()],
        ),
    )
    add_training(page, stages)
    first, second = result['seconds'].get('search'), result['seconds'].get('train')
    page.section(
        'Time and work',
        facts(
            {
                'first stage': f'{duration(first)}: {result["search_epochs"]} epochs, '
                f'{result["search_iterations"]:,} iterations with the supernet',
                'second stage': f'{duration(second)}, the found network alone',
            }
        ),
    )
    page.section(
        'What was asked',
        facts(
            {
                'space': f'{space.name}: {space.num_slots} slots, {size_text(space)} archs',
                'config': (known and known.config) or subnet.config,
                'command': known and known.command,
                'versions': versions_text(known),
            }
            | dict(known.settings if known else {})
        ),
    )
    page.section('What to do next', *next_commands(folder, known))
    return page.write(path or folder / REPORT_HTML)


def probability_svgs(
    space: SearchSpace, arch: Sequence[int], probabilities: Sequence[Sequence[float]]
) -> list[str]:
    """For every ten slots a drawing: a bar for each slot, divided by the candidates'
    probabilities."""
    fills, names = slot_fills(space), candidate_names(space, tuple(arch))
    width, bar, row = 340, 300, 36
    svgs = []
    for start in range(0, space.num_slots, 10):
        slots = range(start, min(start + 10, space.num_slots))
        parts = []
        for number, slot in enumerate(slots):
            y, x = number * row, 0.0
            chosen = probabilities[slot][arch[slot]]
            parts.append(
                f'<text x="0" y="{y + 12}" font-size="11.5" fill="#1b2733">slot {slot}: '
                f'{escape(names[slot])}</text><text x="{bar}" y="{y + 12}" font-size="11.5" '
                f'text-anchor="end" fill="#1b2733">{chosen:.0%}</text>'
            )
            for candidate, share in zip(space.candidates[slot], probabilities[slot]):
                parts.append(
                    f'<rect x="{x:.1f}" y="{y + 16}" width="{share * bar:.1f}" height="11" '
                    f'fill="{fills[candidate.name]}" stroke="#5b6770" stroke-width="0.6">'
                    f'<title>{escape(candidate.name)}: {share:.1%}</title></rect>'
                )
                x += share * bar
        height = row * len(slots)
        svgs.append(
            f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'aria-label="probabilities of slots {slots[0]} to {slots[-1]}" '
            f'font-family="system-ui, sans-serif">{"".join(parts)}</svg>'
        )
    return svgs


def add_training(page: Page, stages: Sequence[Path]) -> None:
    """The losses of both stages, and how the first one became sure, as far as there are logs."""
    titles = dict(zip(('first stage', 'second stage'), stages))
    losses = {name: curve(stage, 'loss') for name, stage in titles.items()}
    losses = {name: points for name, points in losses.items() if points[0]}
    entropy = curve(stages[0], 'arch_entropy')
    plots = []
    if losses:
        plots.append(page.plot(lines(losses, 'iteration', 'training loss'), 'loss of both stages'))
    if entropy[0]:
        plots.append(
            page.plot(
                lines(
                    {'mean over the slots': entropy}, 'iteration', 'entropy, 1 = all equally likely'
                ),
                'entropy of the probabilities in the first stage',
            )
        )
    page.section('The training', *plots)


def next_commands(folder: Path, known: RunFacts | None) -> list[str]:
    """The next commands, their paths filled in."""
    quoted = shlex.quote(str(folder / 'subnet.yaml'))
    config = f' --config {shlex.quote(known.config)}' if known and known.config else ''
    parts: list[Any] = [
        paragraph('Export the trained network:'),
        code(f'{tool_command("export")} {quoted}{config}'),
        paragraph('Use it as the backbone of another task:'),
        code(
            f'{tool_command("train")} CONFIG.py --cfg-options \\\n    model.backbone.arch={quoted} '
            f'\\\n    load_from={shlex.quote(str(folder / "subnet.pth"))}'
        ),
    ]
    return parts
