"""Scatter plots of scores against true accuracies."""

import math
import os
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ..fileio import write_atomic

COLUMNS = 4


def plot_rankings(
    scores: dict[str, np.ndarray],
    taus: dict[str, float],
    truth: Sequence[float],
    macs: Sequence[float],
    path: str | os.PathLike,
) -> None:
    """Writes a PNG: for each ranker a panel of the true accuracies against its scores, coloured by
    MACs.

    A cloud whose colours run along it says that the ranker follows MACs; one that is ordered within
    a colour knows more.

    Args:
        scores: For each ranker its scores, ``(N, )``.
        taus: For each ranker its Kendall tau, for the title; NaN where it is undefined.
        truth: True accuracies in %, ``(N, )``.
        macs: MACs of the archs, ``(N, )``.
        path: The file to write.
    """
    columns = min(COLUMNS, len(scores))
    rows = math.ceil(len(scores) / columns)
    figure = Figure(figsize=(3.1 * columns + 0.8, 2.9 * rows), layout='constrained')
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, (name, values) in zip(panels.flat, scores.items()):
        dots = axes.scatter(
            values, truth, c=np.asarray(macs) / 1e6, s=14, cmap='viridis', linewidths=0
        )
        axes.grid(color='#eeeeee')
        axes.set_axisbelow(True)
        axes.spines[['top', 'right']].set_visible(False)
        axes.locator_params(axis='x', nbins=5)
        axes.set_title(
            name if math.isnan(taus[name]) else f'{name}: tau {taus[name]:.2f}', fontsize=8.5
        )
    for axes in panels.flat[len(scores) :]:
        axes.set_visible(False)
    for row in panels:
        row[0].set_ylabel('true accuracy (%)')
    figure.supxlabel('score', fontsize=10)
    figure.colorbar(
        dots, ax=panels, label='MACs (M)', fraction=0.02 if columns == COLUMNS else 0.05
    )
    write_atomic(path, lambda file: figure.savefig(file, format='png', dpi=110))
