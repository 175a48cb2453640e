import matplotlib.figure
import numpy as np
import pytest
from PIL import Image

from pinas_mm.searching.history import Record
from pinas_mm.visualization import plot_pareto, plot_search_curve

SCORES = [40.0, 55.0, None, 50.0, 60.0, 58.0]
RECORDS = [
    Record(
        i,
        (i,),
        score,
        {},
        dict(macs=1e6 * (i + 1), latency=9.0 - i),
        error=None if score else 'failed',
    )
    for i, score in enumerate(SCORES)
]


@pytest.fixture
def lines(monkeypatch):
    """The data of every line drawn, by its label."""
    drawn, savefig = {}, matplotlib.figure.Figure.savefig

    def saving(figure, *args, **kwargs):
        for line in figure.axes[0].lines:
            drawn[line.get_label()] = np.array(line.get_data()).T.tolist()
        return savefig(figure, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, 'savefig', saving)
    return drawn


def test_the_curve_shows_every_arch_and_the_best_so_far(lines, tmp_path):
    plot_search_curve(RECORDS, 'accuracy/top1', tmp_path / 'curve.png')
    assert lines['archs'] == [[1, 40], [2, 55], [4, 50], [5, 60], [6, 58]]
    assert lines['best so far'] == [[1, 40], [2, 55], [4, 55], [5, 60], [6, 60]]
    assert lines['best: 60.00 at arch 5'] == [[5, 60]] and lines['1 failed'] == [[3, 40]]
    assert Image.open(tmp_path / 'curve.png').size == (840, 540)


@pytest.mark.parametrize(
    'cost, front', [('macs', [[1, 40], [2, 55], [5, 60]]), ('latency', [[4, 58], [5, 60]])]
)
def test_the_front_is_drawn(lines, tmp_path, cost, front):
    plot_pareto(RECORDS, 'accuracy/top1', cost, tmp_path / 'pareto.png')
    assert len(lines['archs']) == 5 and lines[f'Pareto front: {len(front)} archs'] == front
    assert Image.open(tmp_path / 'pareto.png').format == 'PNG'


def test_one_arch_is_enough(tmp_path):
    plot_search_curve(RECORDS[:1], 'score', tmp_path / 'curve.png')
    plot_pareto(RECORDS[:1], 'score', 'macs', tmp_path / 'pareto.png')
