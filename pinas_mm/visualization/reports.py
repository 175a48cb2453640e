"""Reports of any kind of run, made of the files of its work dir; and one page that compares
several."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..spaces import SearchSpace, get_space
from ..spaces.subnet_file import SubnetFile
from .adaptation_report import ADAPT_JSON, AdaptFile, write_adaptation_report
from .arch_drawing import DrawnArch, draw_arch, legend
from .dsnas_report import DSNAS_JSON, read_dsnas, write_dsnas_report
from .interactive_plots import Run, score_against_cost, search_curve
from .ranking_report_page import (
    RANKING_JSON,
    RankingFile,
    in_order,
    measure_of,
    sample_title,
    statistic_text,
    write_ranking_report,
)
from .report_page import Page, drawings, duration, paragraph, table
from .run_facts import REPORT_HTML, Kind, RunFacts
from .search_report import (
    COST_TITLES,
    HISTORY,
    SUBNET,
    SearchRun,
    cost_text,
    largest_row,
    write_search_report,
)

# Letters of a work dir's name in legends and tables.
LONGEST_NAME = 28
# The file that tells the kind of a work dir, and what writes its report.
KINDS: dict[Kind, tuple[str, Callable[..., Path]]] = {
    'adaptation': (ADAPT_JSON, write_adaptation_report),
    'dsnas': (DSNAS_JSON, write_dsnas_report),
    'ranking': (RANKING_JSON, write_ranking_report),
    'search': (HISTORY, write_search_report),
}


def kind_of(work_dir: str | os.PathLike) -> Kind:
    """What ran in a work dir, by the files in it.

    Raises:
        InputError: There is no such folder, or no run in it; the message names folders below it
            that have one.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        what = 'is a file, expected a work dir' if folder.exists() else 'no such folder'
        raise InputError(f'{folder}: {what}')
    found = [kind for kind, (name, _) in KINDS.items() if (folder / name).is_file()]
    if len(found) > 1:  # a search and a ranking, say: the last one that ran
        facts = RunFacts.read(folder)
        return facts.kind if facts is not None and facts.kind in found else found[0]
    if found:
        return found[0]
    names = ', '.join(name for name, _ in KINDS.values())
    below = sorted(
        str(path.parent) for name, _ in KINDS.values() for path in folder.glob(f'*/{name}')
    )
    hint = f'; there is one in {", ".join(below[:3])}' if below else ''
    raise InputError(f'{folder}: no run to report: expected one of {names} in it{hint}')


def write_report(work_dir: str | os.PathLike, path: str | os.PathLike | None = None) -> Path:
    """Writes the report of a run of any kind.

    Args:
        work_dir: The work dir.
        path: The file to write. Defaults to ``report.html`` in the work dir.

    Returns:
        The path written.

    Raises:
        InputError: There is no run in the work dir, or a file of it cannot be read.
    """
    return KINDS[kind_of(work_dir)][1](work_dir, path)


@dataclass(frozen=True)
class Compared:
    """One run of a comparison.

    Args:
        name: What it is called, see :func:`short_names`.
        kind: What ran.
        space: Its space.
        cells: What the table says of it, by column.
        drawn: Its winner, or None.
        widen_factor: Width of its supernet.
        search: Its search, or None.
    """

    name: str
    kind: Kind
    space: SearchSpace
    cells: dict[str, str]
    drawn: DrawnArch | None = None
    widen_factor: float = 1.0
    search: SearchRun | None = None


def write_comparison(
    work_dirs: Sequence[str | os.PathLike], path: str | os.PathLike = REPORT_HTML
) -> Path:
    """Writes one page that compares several runs: a table, the curves in one plot, score against
    cost in another, the winners beside each other; of rankings a table of their statistics.

    Searches are plotted together where they maximise the same score.

    Args:
        work_dirs: The work dirs, at least two.
        path: The file to write.

    Returns:
        The path written.

    Raises:
        InputError: One of them has no run, or a file cannot be read.
    """
    folders = [Path(work_dir) for work_dir in work_dirs]
    kinds = {folder: kind_of(folder) for folder in folders}
    names = dict(zip(kinds, short_names([*kinds])))
    runs = [
        compared(folder, kind, names[folder]) for folder, kind in kinds.items() if kind != 'ranking'
    ]
    rankings = {
        names[folder]: RankingFile.read(folder)
        for folder, kind in kinds.items()
        if kind == 'ranking'
    }
    page = Page(f'{len(kinds)} runs compared')
    if runs:
        columns = list(dict.fromkeys(column for run in runs for column in run.cells))
        page.section(
            'The runs',
            table(
                ['run', 'kind', 'space', 'arch', *columns],
                [
                    [
                        run.name,
                        run.kind,
                        run.space.name,
                        '-' if run.drawn is None else run.space.encode(run.drawn.arch),
                        *(run.cells.get(column, '-') for column in columns),
                    ]
                    for run in runs
                ],
                texts=4,
            ),
        )
        add_curves(page, runs)
        add_winners(page, runs)
    if rankings:
        add_rankings(page, rankings)
    return page.write(path)


def short_names(folders: Sequence[Path]) -> list[str]:
    """What work dirs are called on a page: their paths without the part that all have in common,
    of long ones the end, so that a legend fits on a telephone."""
    parts = [folder.absolute().parts for folder in folders]
    common = os.path.commonprefix([path[:-1] for path in parts])
    names = ['/'.join(path[len(common) :]) for path in parts]
    short = [name if len(name) <= LONGEST_NAME else f'…{name[-LONGEST_NAME:]}' for name in names]
    return short if len(set(short)) == len(set(names)) else names


def compared(folder: Path, kind: Kind, name: str) -> Compared:
    """What a comparison says of a run that found an arch."""
    known, search, subnet = RunFacts.read(folder, kind), None, None
    cells: dict[str, str] = {}
    seconds = known.seconds if known else None
    if kind == 'dsnas':
        result = read_dsnas(folder)
        subnet = SubnetFile.read(folder / SUBNET)
        space = get_space(subnet.space, str(folder / SUBNET))
        cells |= {
            f'{metric}, trained': f'{value:.4g}' for metric, value in result['metrics'].items()
        }
        seconds = result['seconds'].get('total')
    else:
        inside = folder / 'search' if kind == 'adaptation' else folder
        if not (inside / HISTORY).is_file():
            raise InputError(f'{folder}: its search has not begun: expected {inside / HISTORY}')
        search = SearchRun.read(inside)
        space, subnet = search.space, search.subnet
        if search.winner is not None and search.winner.score is not None:
            digits = search.digits(search.model())
            cells[f'{search.score}, held out'] = f'{search.winner.score:.{digits}f}'
        cells['archs'] = f'{len(search.records):,}'
        known = known or search.facts
        if kind == 'adaptation':
            adapted = AdaptFile.read(folder)
            seconds = sum(step['seconds'] for step in adapted.steps.values())
            for row in list(adapted.rows.values())[:1]:
                cells |= {
                    f'{metric}, test set': f'{value:.4g}'
                    for metric, value in row['metrics'].items()
                }
    for cost in ('macs', 'params', 'latency'):
        if subnet is not None and cost in subnet.costs:
            cells[COST_TITLES[cost]] = cost_text(cost, subnet.costs[cost])
    if seconds is not None:
        cells['time'] = duration(seconds)
    drawn = None
    if subnet is not None:
        drawn = DrawnArch(subnet.arch)
        if known is not None:
            drawn = known.of_space(space, str(folder)).drawings.get('winner', drawn)
    width = subnet.widen_factor if subnet else 1.0
    return Compared(name, kind, space, cells, drawn, width, search)


def add_curves(page: Page, runs: Sequence[Compared]) -> None:
    """The curves of the searches that maximise the same score, in one plot, and score against
    MACs."""
    by_score: dict[str, list[Run]] = {}
    for run in runs:
        if run.search is not None and run.search.scored:
            by_score.setdefault(run.search.score, []).append(run.search.as_run(run.name))
    for score, searches in by_score.items():
        label = f'{score}, held out'
        page.section(
            f'The searches by {score}',
            paragraph(
                'Lines are the best score so far; dots are archs. Scores of different supernets or '
                'data are not comparable.',
                'quiet',
            ),
            page.plot(search_curve(searches, label), f'{score} over archs'),
            page.plot(score_against_cost(searches, label, 'macs'), f'{score} against MACs'),
        )


def add_winners(page: Page, runs: Sequence[Compared]) -> None:
    """The found archs block by block; those of one space are comparable."""
    by_space: dict[str, list[Compared]] = {}
    for run in runs:
        if run.drawn is not None:
            by_space.setdefault(run.space.name, []).append(run)
    for name, found in by_space.items():
        space = found[0].space
        archs = [run.drawn for run in found if run.drawn is not None]
        most = largest_row(space, archs)
        svgs = [
            draw_arch(space, run.drawn, run.name, run.widen_factor, most)
            for run in found
            if run.drawn is not None
        ]
        page.section(
            f'The found archs of {name}',
            drawings(svgs, legend(space, [arch.arch for arch in archs])),
        )


def add_rankings(page: Page, rankings: dict[str, RankingFile]) -> None:
    """For each sample a table: the main statistic of every ranker in every run."""
    names = list(dict.fromkeys(name for found in rankings.values() for name in found.samples))
    for name in names:
        having = {run: f.samples[name] for run, f in rankings.items() if name in f.samples}
        first = next(iter(having.values()))
        measure = measure_of(first)
        best_first = [ranker for sample in having.values() for ranker, _ in in_order(sample)]
        others = [ranker for sample in having.values() for ranker in sample['rankings']]
        rankers = list(dict.fromkeys([*best_first, *others]))
        rows = [
            [
                ranker,
                *(
                    statistic_text(sample['rankings'][ranker], measure)
                    if ranker in sample['rankings']
                    else '-'
                    for sample in having.values()
                ),
            ]
            for ranker in rankers
        ]
        page.section(
            f'Rankings: {sample_title(name, first).partition(" ")[2]}',
            paragraph(f'{measure} with its 95 % interval.', 'quiet'),
            table(['ranker', *having], rows),
        )
