"""Plots of a search: how the best score grew, and the score against a cost."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..fileio import write_atomic
from ..searching.history import Record
from ..searching.pareto import pareto_front
from ..searching.scale import LARGEST

# Colours that differ also for colour-blind readers (Okabe and Ito).
DOTS, LINE, MARK = '#999999', '#0072B2', '#D55E00'
COST_UNITS = dict(
    macs=(1e6, 'MACs (M)'),
    backbone_macs=(1e6, 'MACs of the backbone (M)'),
    params=(1e6, 'params (M)'),
    latency=(1, 'latency (ms)'),
)


def plot_search_curve(records: Sequence[Record], score: str, path: str | os.PathLike) -> None:
    """Writes a PNG: the score of every arch in the order asked, and the best so far.

    Args:
        records: The records of a search; those that failed are marked on the axis.
        score: Name of the score, for the axis.
        path: The file to write.
    """
    scored = [record for record in records if record.score is not None]
    figure, axes = _figure()
    index = np.array([record.index + 1 for record in scored])
    scores = drawable([record.score for record in scored])
    axes.plot(index, scores, '.', color=DOTS, label='archs')
    axes.step(index, np.maximum.accumulate(scores), where='post', color=LINE, label='best so far')
    best = int(scores.argmax())
    axes.plot(
        index[best],
        scores[best],
        'o',
        color=MARK,
        label=f'best: {scores[best]:.2f} at arch {index[best]}',
    )
    failed = [record.index + 1 for record in records if record.score is None]
    if failed:
        axes.plot(
            failed, [scores.min()] * len(failed), 'x', color=MARK, label=f'{len(failed)} failed'
        )
    axes.set(xlabel='archs evaluated', ylabel=score)
    _save(figure, axes, path)


def plot_pareto(records: Sequence[Record], score: str, cost: str, path: str | os.PathLike) -> None:
    """Writes a PNG: score against a cost, and the archs that no other beats in both.

    Args:
        records: The records of a search.
        score: Name of the score, for the axis.
        cost: Name of the cost, such as ``'macs'``.
        path: The file to write.
    """
    scored = [record for record in records if record.score is not None]
    unit, label = COST_UNITS.get(cost, (1, cost))
    scores = drawable([record.score for record in scored])
    points = np.array([(record.costs[cost] / unit, score) for record, score in zip(scored, scores)])
    front = points[pareto_front(points * (1, -1))]
    figure, axes = _figure()
    axes.plot(*points.T, '.', color=DOTS, label='archs')
    axes.step(*front.T, where='post', color=LINE)
    axes.plot(*front.T, 'o', color=LINE, label=f'Pareto front: {len(front)} archs')
    axes.set(xlabel=label, ylabel=score)
    _save(figure, axes, path)


def drawable(scores: Sequence[float | None]) -> np.ndarray:
    """Scores, those cut off that are too large for matplotlib to space ticks."""
    return np.clip(np.array(scores, float), -LARGEST, LARGEST)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axes = figure.subplots()
    axes.grid(color='#eeeeee')
    axes.spines[['top', 'right']].set_visible(False)
    return figure, axes


def _save(figure: Figure, axes: Axes, path: str | os.PathLike) -> None:
    axes.legend(frameon=False)
    write_atomic(path, lambda file: figure.savefig(file, format='png', dpi=120))
