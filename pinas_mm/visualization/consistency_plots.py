"""A plot of the feature shift and the parameter shift of one supernet, or of two beside each
other."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..fileio import write_atomic
from ..ranking.consistency import PositionShift
from .search_plots import DOTS, LINE, MARK

COLOURS = (LINE, MARK)
# Of each panel: its title, and what is drawn in it with the line styles.
PANELS = (
    ('input: cosine distance', dict(input_distance='-')),
    ('input: 1 - CKA', dict(input_cka_distance='-')),
    (
        'input: cosine distance of\nmeans (solid), variances (dashed)',
        dict(input_mean_distance='-', input_variance_distance='--'),
    ),
    ('output of one candidate: cosine distance', dict(output_distance='-')),
    ('output of one candidate: 1 - CKA', dict(output_cka_distance='-')),
    (
        'shared gradients: cosine (solid),\nshare that contradict (dashed)',
        dict(gradient_cosine='-', gradient_conflicts='--'),
    ),
)


def plot_consistency(
    supernets: Mapping[str, Sequence[PositionShift]], path: str | os.PathLike
) -> None:
    """Writes a PNG of six panels over the positions: five of the feature shift, and the parameter
    shift.

    Args:
        supernets: For each name, in the legend, the shifts per position; one or two.
        path: The file to write.
    """
    figure = Figure(figsize=(12, 6.5), layout='constrained')
    for axes, (title, quantities) in zip(figure.subplots(2, 3).flat, PANELS):
        for colour, (name, shifts) in zip(COLOURS, supernets.items(), strict=False):
            for quantity, style in quantities.items():
                # A position without a value leaves a gap.
                values = np.array([getattr(shift, quantity) for shift in shifts], float)
                axes.plot(
                    values,
                    style,
                    marker='o',
                    markersize=4,
                    color=colour,
                    label=name if style == '-' else None,
                )
        axes.set_title(title, fontsize='medium')
        axes.set_xlabel('position')
        axes.set_xlim(-0.4, len(shifts) - 0.6)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.axhline(0, color=DOTS, linewidth=0.8, zorder=0)
        axes.grid(color='#eeeeee')
        axes.spines[['top', 'right']].set_visible(False)
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc='outside upper center',
        ncols=len(supernets),
        frameon=False,
    )
    write_atomic(path, lambda file: figure.savefig(file, format='png', dpi=120))
