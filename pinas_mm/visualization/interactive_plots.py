"""The plots of a report, drawn by bokeh: every point says on hover which arch it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..searching.history import Record
from ..searching.pareto import pareto_front
from ..spaces import Arch, SearchSpace
from ..spaces.arch_text import stage_texts
from .search_plots import COST_UNITS, DOTS, LINE, MARK, drawable

if TYPE_CHECKING:
    from bokeh.plotting import figure

# Lines of several runs: colours that differ for colour-blind readers too (Okabe and Ito).
RUN_COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#7A5C00', '#000000')
DASHES = ('solid', 'dashed', 'dotted', 'dashdot')
TEXT = '#1b2733'
HEIGHT = 340


@dataclass(frozen=True)
class Run:
    """The records of one search, for plots of several.

    Args:
        name: What it is called in the legend.
        space: Its space.
        records: Its records of the stage ``'search'``.
        winner: The winner, or None.
    """

    name: str
    space: SearchSpace
    records: Sequence[Record]
    winner: Arch | None = None


def score_against_cost(
    runs: Sequence[Run],
    score: str,
    cost: str,
    limits: tuple[float | None, float | None] = (None, None),
    digits: int = 2,
) -> 'figure':
    """Score against a cost: every arch a dot with its name on hover, those that no other beats in
    both as a line, the limits as dashed lines, the winner as a diamond.

    Args:
        runs: The searches; of several each has a colour.
        score: Name of the score.
        cost: Name of the cost, such as ``'macs'``.
        limits: The least and the most that was asked for.
        digits: Decimals of a score.
    """
    unit, label = COST_UNITS.get(cost, (1, cost))
    plot = _figure(label, score)
    several = len(runs) > 1
    for number, run in enumerate(runs):
        colour = RUN_COLOURS[number % len(RUN_COLOURS)] if several else LINE
        scored = [r for r in run.records if r.score is not None and cost in r.costs]
        if not scored:
            continue
        scores = drawable([record.score for record in scored])
        costs = np.array([record.costs[cost] for record in scored]) / unit
        front = pareto_front(np.stack([costs, -scores], axis=1))
        plot.step(
            costs[front],
            scores[front],
            mode='after',
            color=colour,
            line_width=2,
            legend_label=run.name if several else 'front',
        )
        dots = plot.scatter(
            x='x',
            y='y',
            source=_source(run, scored, costs, scores, label, digits),
            size=8,
            color=colour if several else DOTS,
            alpha=0.75,
            line_color='#ffffff',
            line_width=0.5,
            **({} if several else dict(legend_label='archs')),
        )
        on_front = [scored[i] for i in front]
        rings = plot.scatter(
            x='x',
            y='y',
            source=_source(run, on_front, costs[front], scores[front], label, digits),
            size=9,
            color=colour,
        )
        renderers = [dots, rings]
        chosen = [i for i, record in enumerate(scored) if record.arch == run.winner]
        if chosen:
            renderers.append(
                plot.scatter(
                    x='x',
                    y='y',
                    marker='diamond',
                    size=18,
                    color=MARK,
                    line_color='#ffffff',
                    source=_source(
                        run,
                        [scored[chosen[0]]],
                        costs[chosen[:1]],
                        scores[chosen[:1]],
                        label,
                        digits,
                    ),
                    **({} if several else dict(legend_label='winner')),
                )
            )
        _hover(plot, renderers, score, label)
    known = [r.score for run in runs for r in run.records if r.score is not None]
    for value in limits:
        if value and known:
            at = value / unit
            plot.vspan(
                x=[at],
                line_dash='dashed',
                line_color=MARK,
                line_width=2,
                legend_label=f'limit {at:.4g}',
            )
            # Spans do not widen the axis: an invisible point keeps the limit in sight.
            plot.scatter([at], [float(drawable(known)[0])], alpha=0, size=1)
    return _with_legend(plot, several=len(runs) > 1)


def search_curve(runs: Sequence[Run], score: str, digits: int = 2) -> 'figure':
    """The score of every arch in the order asked, and the best so far."""
    plot = _figure('archs evaluated', score)
    several = len(runs) > 1
    for number, run in enumerate(runs):
        colour = RUN_COLOURS[number % len(RUN_COLOURS)] if several else LINE
        scored = [record for record in run.records if record.score is not None]
        if not scored:
            continue
        scores = drawable([record.score for record in scored])
        index = np.array([record.index + 1 for record in scored])
        dots = plot.scatter(
            x='x',
            y='y',
            source=_source(run, scored, index, scores, 'arch number', digits),
            size=6 if several else 7,
            color=colour if several else DOTS,
            alpha=0.35 if several else 0.75,
            **({} if several else dict(legend_label='archs')),
        )
        plot.step(
            index,
            np.maximum.accumulate(scores),
            mode='after',
            color=colour,
            line_width=2.5,
            line_dash=DASHES[number % len(DASHES)] if several else 'solid',
            legend_label=run.name if several else 'best so far',
        )
        _hover(plot, [dots], score, 'arch number')
        failed = [record.index + 1 for record in run.records if record.score is None]
        if failed and not several:
            plot.scatter(
                failed,
                [scores.min()] * len(failed),
                marker='x',
                size=9,
                color=MARK,
                line_width=2,
                legend_label=f'{len(failed)} failed',
            )
    return _with_legend(plot, several)


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str
) -> 'figure':
    """Curves by name, such as the loss of two stages: for each its x and its y."""
    from bokeh.models import ColumnDataSource, HoverTool

    plot = _figure(x, y)
    for number, (name, (xs, ys)) in enumerate(curves.items()):
        source = ColumnDataSource(dict(x=list(xs), y=list(ys), name=[name] * len(xs)))
        drawn = plot.line(
            x='x',
            y='y',
            source=source,
            color=RUN_COLOURS[number % len(RUN_COLOURS)],
            line_width=2,
            line_dash=DASHES[number % len(DASHES)],
            legend_label=name,
        )
        plot.add_tools(
            HoverTool(renderers=[drawn], tooltips=[('', '@name'), (x, '@x'), (y, '@y{0.[000]}')])
        )
    return _with_legend(plot)


def truth_against_score(
    space: SearchSpace,
    archs: Sequence[Arch],
    scores: Sequence[float],
    truth: Sequence[float],
    macs: Sequence[float],
    name: str,
) -> 'figure':
    """True accuracies against the scores of one ranker, coloured by MACs.

    A cloud whose colours run along it says that the ranker follows MACs; one that is ordered within
    a colour knows more.
    """
    from bokeh.models import ColumnDataSource, HoverTool
    from bokeh.transform import linear_cmap

    # Counts of MACs and parameters; others are small.
    unit = 1e6 if max(map(abs, scores), default=0) >= 1e5 else 1.0
    label = 'score' if unit == 1 else f'score / {unit:.0e}'
    plot = _figure(label, 'true accuracy (%)', name, height=270)
    low, high = min(macs) / 1e6, max(macs) / 1e6
    source = ColumnDataSource(
        dict(
            x=[score / unit for score in scores],
            y=list(truth),
            macs=[value / 1e6 for value in macs],
            arch=[space.encode(arch) for arch in archs],
            names=['; '.join(stage_texts(space, arch)) for arch in archs],
        )
    )
    dots = plot.scatter(
        x='x',
        y='y',
        source=source,
        size=8,
        line_color='#5b6770',
        line_width=0.4,
        color=linear_cmap('macs', 'Viridis256', low, high if high > low else low + 1),
    )
    plot.add_tools(
        HoverTool(
            renderers=[dots],
            tooltips=_card(
                [('true accuracy', '@y{0.0}'), (label, '@x{0.[000]}'), ('MACs (M)', '@macs{0.00}')]
            ),
        )
    )
    return plot


def _source(
    run: Run,
    records: Sequence[Record],
    xs: Sequence[float] | np.ndarray,
    scores: np.ndarray,
    label: str,
    digits: int,
) -> Any:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource(
        dict(
            x=np.asarray(xs, float).tolist(),
            y=scores.tolist(),
            score=[f'{value:.{digits}f}' for value in scores],
            cost=[f'{value:.4g}' for value in xs],
            macs=[f'{r.costs["macs"] / 1e6:.4g}' if 'macs' in r.costs else '-' for r in records],
            arch=[run.space.encode(record.arch) for record in records],
            names=['; '.join(stage_texts(run.space, record.arch)) for record in records],
            run=[run.name] * len(records),
        )
    )


def _hover(plot: 'figure', renderers: Sequence[Any], score: str, label: str) -> None:
    from bokeh.models import HoverTool

    rows = [(score, '@score'), (label, '@cost')]
    if not label.startswith('MACs'):
        rows.append(('MACs (M)', '@macs'))
    plot.add_tools(HoverTool(renderers=list(renderers), tooltips=_card(rows)))


def _card(rows: Sequence[tuple[str, str]]) -> str:
    """What hovering shows: the arch in digits and in words, and its numbers. bokeh escapes what it
    puts in for ``@name``."""
    from html import escape

    numbers = ''.join(f'<div>{escape(name)}: <b>{value}</b></div>' for name, value in rows)
    return (
        '<div style="max-width:260px;white-space:normal;overflow-wrap:anywhere;color:#1b2733;'
        'font:13px/1.4 system-ui,sans-serif"><div><b>arch @arch</b></div>'
        f'<div>@names</div>{numbers}</div>'
    )


def _figure(x: str, y: str, title: str | None = None, height: int = HEIGHT) -> 'figure':
    from bokeh.models import BasicTicker
    from bokeh.models.annotations import Title
    from bokeh.plotting import figure

    # Without dragging or zooming, so that a finger on the plot scrolls the page.
    plot = figure(
        height=height,
        sizing_mode='stretch_width',
        tools='',
        toolbar_location=None,
        x_axis_label=x,
        y_axis_label=y,
        title=Title(text=title, text_color=TEXT, text_font_size='13px') if title else None,
        background_fill_color='#ffffff',
        outline_line_color=None,
        min_border_right=12,
    )
    plot.toolbar.logo = None
    for axis in plot.axis:
        axis.axis_label_text_font_style = 'normal'
        axis.axis_label_text_color = axis.major_label_text_color = TEXT
        axis.axis_label_text_font_size = '13px'
        axis.major_label_text_font_size = '12px'
        axis.axis_line_color = '#5b6770'
        axis.major_tick_line_color = '#5b6770'
        axis.minor_tick_line_color = None
    plot.xaxis.ticker = BasicTicker(desired_num_ticks=5)
    plot.grid.grid_line_color = '#e3e8ec'
    return plot


def _with_legend(plot: 'figure', several: bool = False) -> 'figure':
    """With the legend above the plot, where it hides no point on a narrow screen."""
    if plot.legend:
        legend = plot.legend[0]
        plot.add_layout(legend, 'above')
        legend.location = 'top_left'
        legend.orientation = 'horizontal'
        legend.update(ncols=1 if several else 2, glyph_width=30, padding=2, spacing=4)
        legend.border_line_color = None
        legend.label_text_color, legend.label_text_font_size = TEXT, '12px'
    return plot
