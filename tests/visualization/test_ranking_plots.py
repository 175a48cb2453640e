import matplotlib.figure
import numpy as np
import pytest
from PIL import Image

from pinas_mm.visualization import plot_rankings


@pytest.mark.parametrize('count', [1, 3, 6])
def test_every_ranker_has_a_panel_coloured_by_macs(monkeypatch, tmp_path, count):
    drawn, savefig = {}, matplotlib.figure.Figure.savefig

    def saving(figure, *args, **kwargs):
        for axes in figure.axes:
            if axes.get_title():
                (dots,) = axes.collections
                drawn[axes.get_title()] = dots.get_offsets().tolist(), dots.get_array().tolist()
        return savefig(figure, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, 'savefig', saving)
    scores = {f'ranker {i}': np.arange(5.0) + i for i in range(count)}
    taus = {name: np.nan if name == 'ranker 1' else 0.5 for name in scores}
    plot_rankings(scores, taus, [70, 71, 72, 73, 74], np.arange(1, 6) * 1e6, tmp_path / 'plot.png')
    assert len(drawn) == count and (count == 1 or 'ranker 1' in drawn)
    assert drawn['ranker 0: tau 0.50'] == ([[i, 70 + i] for i in range(5)], [1, 2, 3, 4, 5])
    assert Image.open(tmp_path / 'plot.png').format == 'PNG'
