import matplotlib.figure
import numpy as np
from PIL import Image

from pinas_mm.ranking.consistency import PositionShift
from pinas_mm.visualization import plot_consistency


def shifts(offset):
    first = PositionShift(0, 0, *[None] * 6, offset + 0.5, 0.0)
    return [
        first,
        *(
            PositionShift(p, 0, *(offset + p / 10 + i / 100 for i in range(6)), offset - p, 0.25)
            for p in (1, 2)
        ),
    ]


def test_every_quantity_of_both_supernets_is_drawn(monkeypatch, tmp_path):
    drawn, savefig = [], matplotlib.figure.Figure.savefig

    def saving(figure, *args, **kwargs):
        # The last line of a panel is its zero.
        drawn.extend(
            [np.array(line.get_ydata()) for line in axes.lines[:-1]] for axes in figure.axes
        )
        drawn.append([text.get_text() for legend in figure.legends for text in legend.get_texts()])
        return savefig(figure, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, 'savefig', saving)
    plot_consistency(dict(uniform=shifts(0.0), pinas=shifts(0.3)), tmp_path / 'both.png')
    *panels, legend = drawn
    assert legend == ['uniform', 'pinas'] and [len(lines) for lines in panels] == [2, 2, 4, 2, 2, 4]
    np.testing.assert_allclose(panels[0], [[np.nan, 0.1, 0.2], [np.nan, 0.4, 0.5]])
    np.testing.assert_allclose(panels[4], [[np.nan, 0.15, 0.25], [np.nan, 0.45, 0.55]])
    np.testing.assert_allclose(
        panels[5], [[0.5, -1, -2], [0, 0.25, 0.25], [0.8, -0.7, -1.7], [0, 0.25, 0.25]]
    )
    assert Image.open(tmp_path / 'both.png').size == (1440, 780)


def test_one_supernet_is_enough(tmp_path):
    plot_consistency(dict(uniform=shifts(0.0)), tmp_path / 'one.png')
    assert Image.open(tmp_path / 'one.png').format == 'PNG'
