"""The report of a search: one HTML file made of the files of its work dir."""

import os
import shlex
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..fileio import parse_json, read_bytes
from ..searching.additive import AdditiveModel, Effect
from ..searching.history import MOST_BYTES, Record, read_history
from ..searching.pareto import pareto_front
from ..searching.search import ranked
from ..spaces import Arch, SearchSpace, get_space
from ..spaces.arch_text import stage_texts
from ..spaces.subnet_file import SubnetFile
from .arch_drawing import FILLS, DrawnArch, count_text, draw_arch, legend, slot_fills
from .interactive_plots import Run, score_against_cost, search_curve
from .report_page import (
    Page,
    bullets,
    code,
    details,
    digits_for,
    drawings,
    duration,
    facts,
    paragraph,
    table,
)
from .run_facts import REPORT_HTML, RunFacts, data_text, tool_command, unique
from .training_logs import logged_warnings

HISTORY, SUBNET = 'history.jsonl', 'subnet.yaml'
COST_TITLES = dict(
    macs='MACs', backbone_macs='MACs of the backbone', params='parameters', latency='latency'
)
# Below so many archs with a score an additive model says nothing of candidates.
LEAST_FOR_EFFECTS = 10
# Slots whose effects are shown, those with the largest first; the others are folded away.
SHOWN_SLOTS = 12
# Rows of the table of the best archs.
BEST = 10


@dataclass(frozen=True)
class SearchRun:
    """What the files of a search's work dir say.

    Args:
        folder: The work dir.
        header: The header of the history.
        space: The space.
        records: Records of the stage ``'search'``.
        final: Records of the archs that were scored again on the whole held-out split.
        winner: The record of the winner, or None for a search that was not finished.
        subnet: Its subnet file, or None.
        facts: Its ``report.json``, or None.
    """

    folder: Path
    header: dict[str, Any]
    space: SearchSpace
    records: list[Record]
    final: list[Record]
    winner: Record | None
    subnet: SubnetFile | None
    facts: RunFacts | None

    @classmethod
    def read(cls, work_dir: str | os.PathLike) -> 'SearchRun':
        """Reads a work dir.

        Raises:
            InputError: It has no history, or a file in it cannot be read or is of another space.
        """
        folder = Path(work_dir)
        path = folder / HISTORY
        header = parse_json(
            read_bytes(path, MOST_BYTES).partition(b'\n')[0].decode(errors='replace'), str(path)
        )
        name = header.get('space') if isinstance(header, dict) else None
        if not isinstance(name, str):
            raise InputError(f"{path}: not a search history: line 1 has no 'space'")
        space = get_space(name, str(path))
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of a batch that was not finished: the page counts
            header, records, _ = read_history(path, space)
        searched = [record for record in records if record.stage == 'search']
        final = [record for record in records if record.stage == 'final']
        facts = RunFacts.read(folder, 'search')
        if facts is not None:
            facts = facts.of_space(space, str(folder / 'report.json'))
        subnet = SubnetFile.read(folder / SUBNET) if (folder / SUBNET).exists() else None
        # A search with a larger budget that was stopped: the file is of the smaller one.
        goes_on = facts is not None and 'winner' not in facts.drawings
        of_arch = [r for r in [*final, *searched] if subnet and r.arch == subnet.arch]
        if goes_on or not of_arch:
            of_arch, subnet = [], None
        winner = of_arch[0] if of_arch else None
        return cls(folder, header, space, searched, final, winner, subnet, facts)

    @property
    def score(self) -> str:
        """Name of what was maximised."""
        score = self.header.get('score')
        if isinstance(score, dict):
            return 'sum of ' + ', '.join(score)
        return str(score or 'score')

    @property
    def scored(self) -> list[Record]:
        """The records with a score."""
        return [record for record in self.records if record.score is not None]

    @property
    def costs(self) -> list[str]:
        """The costs worth a plot: MACs or what was searched for, and whatever was limited."""
        known = list(self.records[0].costs) if self.records else []
        wanted = [*(self.facts.limits if self.facts else ()), 'latency', 'macs']
        found = [name for name in dict.fromkeys(wanted) if name in known]
        return found or known[:1]

    def model(self) -> AdditiveModel | None:
        """The additive model of the scores; None where they are too few or all equal."""
        scores = [record.score for record in self.scored if record.score is not None]
        if len(scores) < LEAST_FOR_EFFECTS or np.ptp(scores) == 0:
            return None
        return AdditiveModel(self.space, [record.arch for record in self.scored], scores)

    def digits(self, model: AdditiveModel | None) -> int:
        """Decimals of a score: those that its noise justifies."""
        return 2 if model is None else digits_for(model.noise)

    def as_run(self, name: str = 'search') -> Run:
        """The search, for plots."""
        winner = None if self.subnet is None else self.subnet.arch
        return Run(name, self.space, self.records, winner)


def write_search_report(work_dir: str | os.PathLike, path: str | os.PathLike | None = None) -> Path:
    """Writes the report of a search from the files of its work dir alone: ``history.jsonl``, and
    where they are there ``subnet.yaml`` and ``report.json``.

    Args:
        work_dir: The work dir.
        path: The file to write. Defaults to ``report.html`` in the work dir.

    Returns:
        The path written.

    Raises:
        InputError: There is no history in the work dir, or a file in it cannot be read.
    """
    run = SearchRun.read(work_dir)
    page = Page(f'Search of {run.space.name}')
    add_result(page, run)
    noted = run.facts.warnings if run.facts is not None else ()
    warnings_section(page, unique([*noted, *logged_warnings([run.folder])]))
    add_drawings(page, run.space, run.facts, run.subnet)
    add_scores(page, run)
    add_time(page, run)
    page.section('What was asked', asked(run))
    page.section('What to do next', *next_commands(run))
    return page.write(path or run.folder / REPORT_HTML)


def add_result(page: Page, run: SearchRun) -> None:
    """The result in one sentence and a few numbers."""
    digits = run.digits(run.model())
    facts_ = run.facts
    of = f' of {facts_.budget:,}' if facts_ and facts_.budget else ''
    if run.subnet is None:
        page.lead(
            f'The search is not finished: {len(run.records):,}{of} archs are evaluated, and no '
            f'winner is named yet.'
        )
    else:
        page.lead(
            f'The search names arch {run.space.encode(run.subnet.arch)}: it expects the best score '
            f'of it.'
        )
    numbers: dict[str, str] = {}
    if run.winner is not None and run.winner.score is not None:
        numbers[f'{run.score}, held out'] = f'{run.winner.score:.{digits}f}'
    if run.subnet is not None:
        for name, value in run.subnet.costs.items():
            if name in ('macs', 'params', 'latency'):
                numbers[COST_TITLES[name]] = cost_text(name, value)
    for name, (_, high) in (facts_.limits if facts_ else {}).items():
        title = COST_TITLES.get(name, name)
        if high is not None and title in numbers:
            numbers[f'{title}, limit {cost_text(name, high)}'] = numbers.pop(title)
    numbers['archs evaluated'] = f'{len(run.records):,}{of}'
    if facts_ and facts_.seconds is not None:
        numbers['time'] = duration(facts_.seconds)
    page.numbers(numbers)


def asked(run: SearchRun) -> str:
    """What was asked: space, limits, data, seed, versions, command."""
    header, known = run.header, run.facts
    prints = header.get('data') or {}
    calibration = header.get('calibration_dataloader') or {}
    rows: dict[str, Any] = {
        'space': f'{run.space.name}: {run.space.num_slots} slots, {size_text(run.space)} archs',
        'score': f'{run.score}, higher is better',
        'limits': limits_text(run),
        'searcher': (header.get('searcher') or {}).get('type'),
        'scored on': data_text(header.get('dataset'), prints.get('val_dataloader'))
        + (
            f'; {header["score_samples"]:,} of them while searching'
            if isinstance(header.get('score_samples'), int)
            else ''
        ),
        'BN recalibrated on': data_text(
            calibration.get('dataset'), prints.get('calibration_dataloader')
        )
        + f'; {header.get("calibration_batches")} batches',
        'seed': header.get('seed'),
        'config': known.config if known and known.config else header.get('config'),
        'command': known.command if known else None,
        'versions': versions_text(known),
    }
    rows |= dict(known.settings) if known else {}
    return facts(rows) + details('All settings of the search', code(settings_text(header)))


def add_scores(page: Page, run: SearchRun) -> None:
    """Score against cost, the curve over archs, and what good archs share."""
    model = run.model()
    digits = run.digits(model)
    label = f'{run.score}, held out'
    if run.scored:
        limits = run.facts.limits if run.facts else {}
        plots: list[str] = []
        for cost in run.costs:
            plots.append(
                page.plot(
                    score_against_cost(
                        [run.as_run()], label, cost, limits.get(cost, (None, None)), digits
                    ),
                    f'{run.score} of every arch against its {COST_TITLES.get(cost, cost)}',
                )
            )
        page.section(
            'Score against cost',
            paragraph(
                'Each dot is an arch; point at one or tap it to see its name. No other arch beats '
                'one on the line in both score and cost.',
                'quiet',
            ),
            *plots,
            details(f'The {min(BEST, len(run.scored))} best archs', best_table(run, digits)),
        )
        page.section(
            'The search, arch by arch',
            page.plot(
                search_curve([run.as_run()], label, digits),
                f'{run.score} of every arch in the order asked, and the best so far',
            ),
        )
    failed = [record for record in run.records if record.error]
    if failed:
        page.section(
            'Archs that failed',
            bullets([f'{run.space.encode(r.arch)}: {r.error}' for r in failed[:5]]),
            paragraph(f'{len(failed)} in all.', 'quiet') if len(failed) > 5 else '',
        )
    if model is not None:
        page.section(
            'What good archs share', *effect_parts(model, [r.arch for r in run.scored], digits)
        )


def add_drawings(
    page: Page, space: SearchSpace, known: RunFacts | None, subnet: SubnetFile | None
) -> None:
    """The archs of ``report.json``, or the winner alone, without MACs, where there is none."""
    drawn = dict(known.drawings) if known else {}
    if not drawn and subnet is not None:
        drawn = {'winner': DrawnArch(subnet.arch)}
    if not drawn:
        return
    width = subnet.widen_factor if subnet else known.widen_factor if known else 1.0
    most = largest_row(space, list(drawn.values()))
    svgs = [
        draw_arch(space, arch, f'{title}: {space.encode(arch.arch)}', width, most)
        if len(space.encode(arch.arch)) <= 24
        else draw_arch(space, arch, title, width, most)
        for title, arch in drawn.items()
    ]
    text = 'From the input down. The width of a bar is its output channels'
    text += (
        '; its filled part is the share of the inner channels' if hasattr(space, 'largest') else ''
    )
    text += (
        '. The numbers and the dark lines are MACs.'
        if any(arch.macs for arch in drawn.values())
        else '.'
    )
    winner = drawn.get('winner')
    words = stage_texts(space, winner.arch) if winner else []
    page.section(
        'The network, block by block',
        paragraph(text, 'quiet'),
        drawings(svgs, legend(space, [arch.arch for arch in drawn.values()])),
        details('The winner in words', code('\n'.join(words))) if words else '',
    )


def largest_row(space: SearchSpace, archs: Sequence[DrawnArch]) -> float | None:
    """MACs of the costliest block of some archs, None where they are not known."""
    from .arch_drawing import rows_of

    return max((row.macs or 0 for arch in archs for row in rows_of(space, arch)), default=0) or None


def best_table(run: SearchRun, digits: int) -> str:
    """The archs with the best scores: their names, scores and costs."""
    best = ranked(run.records)[:BEST]
    costs = [name for name in ('macs', 'params', 'latency') if name in best[0].costs]
    again = {record.arch: record.score for record in run.final}
    on_front = front_archs(run)
    titles = ['arch', 'candidates', run.score]
    titles += ['again, on all'] if again else []
    titles += [COST_TITLES[name] for name in costs] + ['front']
    rows = []
    for record in best:
        row = [
            run.space.encode(record.arch),
            '; '.join(stage_texts(run.space, record.arch)),
            f'{record.score:.{digits}f}',
        ]
        if again:
            score = again.get(record.arch)
            row.append('-' if score is None else f'{score:.{digits}f}')
        row += [cost_text(name, record.costs[name]) for name in costs]
        row.append('yes' if record.arch in on_front else '')
        rows.append(row)
    chosen = [i for i, r in enumerate(best) if run.subnet and r.arch == run.subnet.arch]
    return table(titles, rows, chosen, texts=2) + paragraph(
        'The winner is the arch of which most is to be expected after all scores, not the best '
        'single score, which is the luckiest.',
        'quiet',
    )


def front_archs(run: SearchRun) -> set[Arch]:
    """The archs that no other beats in both the score and the first cost of the plots."""
    cost = run.costs[0]
    scored = [record for record in run.scored if cost in record.costs]
    points = np.array([(record.costs[cost], -(record.score or 0.0)) for record in scored])
    return {scored[i].arch for i in pareto_front(points)}


def effect_parts(
    model: AdditiveModel, archs: Sequence[Arch], digits: int, what: str = 'score'
) -> list[str]:
    """What each candidate adds to the score, with 95 % intervals.

    Args:
        model: The model.
        archs: The archs that it was fitted to.
        digits: Decimals of an effect.
        what: What it predicts.
    """
    effects, space = model.effects(), model.space
    spread = [max(e.value for e in slot) - min(e.value for e in slot) for slot in effects]
    order = sorted(range(space.num_slots), key=lambda slot: -spread[slot])
    reach = max(
        (max(abs(effect.low), abs(effect.high)) for slot in effects for effect in slot), default=1.0
    )
    counts = [
        np.bincount([arch[slot] for arch in archs], minlength=len(effects[slot]))
        for slot in range(space.num_slots)
    ]
    clear = sum(effect.is_clear for slot in effects for effect in slot)
    svgs = {
        slot: _effect_svg(space, slot, effects[slot], counts[slot], reach or 1.0, digits)
        for slot in order
    }
    shown, rest = order[:SHOWN_SLOTS], order[SHOWN_SLOTS:]
    verdict = (
        f'{clear} candidates differ clearly from the mean of their slot.'
        if clear
        else 'No candidate differs clearly from the mean of its slot: the scores are too noisy, or '
        'too few, to say which candidates are good.'
    )
    parts = [
        paragraph(
            f'What a candidate adds to the {what} against the mean of its slot, by an additive '
            f'model of {len(archs):,} archs, with 95 % intervals. The slots with the largest '
            f'effects come first; grey intervals include 0. {verdict}',
            'quiet',
        ),
        f'<div class="effects">{"".join(svgs[slot] for slot in sorted(shown))}</div>',
    ]
    if rest:
        parts.append(
            details(
                f'The other {len(rest)} slots',
                f'<div class="effects">{"".join(svgs[slot] for slot in sorted(rest))}</div>',
            )
        )
    return parts


def _effect_svg(
    space: SearchSpace, slot: int, effects: Sequence[Effect], counts: Any, reach: float, digits: int
) -> str:
    """One slot: for each candidate a dot with its interval around 0."""
    fills = slot_fills(space)
    width, row, left, right = 320, 22, 118, 262
    middle, half = (left + right) / 2, (right - left) / 2 - 4
    height = 24 + row * len(effects)
    reading = [p for p in space.positions if slot in p.slots]
    stages = sorted({position.stage for position in reading})
    where = f'stage {stages[0]}' if len(stages) == 1 else f'stages {stages[0]} to {stages[-1]}'
    parts = [
        f'<text x="0" y="15" font-size="12" font-weight="600" fill="#1b2733">slot {slot} '
        f'<tspan fill="#52606d" font-weight="400">· {where}</tspan></text>',
        f'<line x1="{middle}" x2="{middle}" y1="22" y2="{height}" stroke="#a8b2bb"/>',
    ]
    for index, (candidate, effect) in enumerate(zip(space.candidates[slot], effects)):
        y = 24 + row * index + row / 2
        low, mid, high = (
            middle + half * value / reach for value in (effect.low, effect.value, effect.high)
        )
        colour = '#0a5a94' if effect.is_clear else '#8a949d'
        name = candidate.name if len(candidate.name) <= 15 else candidate.name[:14] + '…'
        parts.append(
            f'<g><title>{escape(candidate.name)}: {effect.value:+.{digits + 1}f} '
            f'[{effect.low:+.{digits + 1}f}, {effect.high:+.{digits + 1}f}], in '
            f'{counts[index]} archs</title>'
            f'<rect x="0" y="{y - 6}" width="10" height="10" rx="2" '
            f'fill="{fills.get(candidate.name, FILLS[0])}" stroke="#5b6770" stroke-width="0.6"/>'
            f'<text x="15" y="{y + 4}" font-size="11.5" fill="#1b2733">{escape(name)}</text>'
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
            f'stroke-width="3" stroke-linecap="round"/>'
            f'<circle cx="{mid:.1f}" cy="{y}" r="4.5" fill="{colour}"/>'
            f'<text x="{width}" y="{y + 4}" font-size="11.5" text-anchor="end" '
            f'fill="#1b2733">{signed(effect.value, digits)}</text></g>'
        )
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" '
        f'font-family="system-ui, sans-serif" aria-label="effects of slot {slot}">'
        f'{"".join(parts)}</svg>'
    )


def add_time(page: Page, run: SearchRun) -> None:
    """The forecast against what the search took."""
    known = run.facts
    if known is None or known.seconds is None:
        return
    rows: dict[str, Any] = {'took': duration(known.seconds)}
    if known.forecast_seconds is not None:
        rows = {
            'forecast': f'{duration(known.forecast_seconds)}, after the first '
            f'{known.forecast_archs} archs'
        } | rows
        rows['took / forecast'] = f'{known.seconds / max(known.forecast_seconds, 1e-9):.1f}'
    if run.records:
        rows['per arch'] = duration(known.seconds / len(run.records))
    page.section('Time: forecast and taken', facts(rows))


def warnings_section(page: Page, found: Sequence[str]) -> None:
    """The warnings of a run, at the top of its page; a line where none arose."""
    if found:
        page.section('Warnings', bullets(found), kind='warnings')
    else:
        page.note('No warning arose.')


def next_commands(run: SearchRun) -> list[str]:
    """The next commands, their paths filled in."""
    known, folder = run.facts, run.folder
    config = known.config if known and known.config else None
    if run.subnet is None:
        if known is None or not known.command:
            return [paragraph('Resume the search: the same command with --resume.')]
        more = '' if '--resume' in known.command else ' --resume'
        return [paragraph('Resume the search:'), code(known.command + more)]
    subnet, weights = folder / SUBNET, folder / 'subnet.pth'
    parts = []
    if weights.exists():
        around = f' --config {shlex.quote(config)}' if config else ''
        parts += [
            paragraph('Export the network with the weights of the supernet:'),
            code(f'{tool_command("export")} {shlex.quote(str(subnet))}{around}'),
        ]
    parts += [
        paragraph('Train the found network, with a config of yours that trains one arch:'),
        code(
            f'{tool_command("train")} FINETUNE_CONFIG.py --cfg-options \\\n'
            f'    model.backbone.arch={shlex.quote(str(subnet))}'
            + (
                f' \\\n    model.backbone.init_cfg.checkpoint={shlex.quote(str(weights))}'
                if weights.exists()
                else ''
            )
        ),
        paragraph('Make this page again, or compare several searches:'),
        code(f'{tool_command("report")} {shlex.quote(str(folder))} [ANOTHER_WORK_DIR ...]'),
    ]
    return parts


def signed(value: float, digits: int) -> str:
    """A difference with its sign; 0 has none."""
    text = f'{value:+.{digits}f}'
    return text if float(text) else text[1:]


def cost_text(name: str, value: float) -> str:
    """A cost with its unit."""
    return f'{value:.3g} ms' if name == 'latency' else count_text(value)


def limits_text(run: SearchRun) -> str:
    """The limits for people."""
    if run.facts is None:
        return str(run.header.get('constraints', 'not known'))
    texts = []
    for name, (low, high) in run.facts.limits.items():
        title = COST_TITLES.get(name, name)
        least = None if not low else f'at least {cost_text(name, low)}'
        most = None if high is None else f'at most {cost_text(name, high)}'
        texts.append(f'{title} {" and ".join(filter(None, [least, most]))}')
    return '; '.join(texts) or 'none'


def size_text(space: SearchSpace) -> str:
    """The number of archs of a space."""
    return f'{space.size:,}' if space.size < 1e6 else f'{float(space.size):.1e}'


def versions_text(known: RunFacts | None) -> str | None:
    """The versions in one line."""
    if known is None:
        return None
    return ', '.join(f'{name} {value}' for name, value in known.versions.items())


def settings_text(settings: Any) -> str:
    """Settings as YAML."""
    import yaml

    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).strip()
