import numpy as np
import pytest
from report_dirs import SPACE, records

from pinas_mm.searching.history import Record
from pinas_mm.spaces.arch_text import stage_texts
from pinas_mm.visualization.interactive_plots import (
    Run,
    lines,
    score_against_cost,
    search_curve,
    truth_against_score,
)

RECORDS = records(20, failed=(3,))
SCORED = [record for record in RECORDS if record.score is not None]


def sources(plot):
    """The data of everything drawn, by its kind."""
    return [(type(r.glyph).__name__, r.data_source.data, r) for r in plot.renderers]


def labels(plot):
    return [item.label.value for item in plot.legend[0].items]


def dots(plot):
    """The data of the first drawn archs."""
    return next(data for _, data, _ in sources(plot) if 'arch' in data)


def test_every_arch_is_a_dot_with_its_name_its_score_and_its_cost():
    plot = score_against_cost([Run('search', SPACE, RECORDS)], 'accuracy', 'macs', digits=1)
    data = dots(plot)
    assert data['arch'] == [SPACE.encode(record.arch) for record in SCORED]
    assert data['names'] == ['; '.join(stage_texts(SPACE, record.arch)) for record in SCORED]
    assert data['y'] == [record.score for record in SCORED]
    assert data['score'] == [f'{record.score:.1f}' for record in SCORED]
    np.testing.assert_allclose(data['x'], [record.costs['macs'] / 1e6 for record in SCORED])
    tips = [tool.tooltips for tool in plot.tools if hasattr(tool, 'tooltips')]
    assert all('@arch' in tip and '@names' in tip for tip in tips) and tips


def test_the_front_is_what_no_other_beats():
    plot = score_against_cost([Run('search', SPACE, RECORDS)], 'accuracy', 'macs')
    (_, step, _) = next(found for found in sources(plot) if found[0] == 'Step')
    front = [
        record
        for record in SCORED
        if not any(
            other.costs['macs'] <= record.costs['macs']
            and other.score >= record.score
            and other is not record
            for other in SCORED
        )
    ]
    front.sort(key=lambda record: record.costs['macs'])
    np.testing.assert_allclose(step['y'], [record.score for record in front])


def test_limits_and_the_winner_are_marked():
    winner = SCORED[4]
    run = Run('search', SPACE, RECORDS, winner.arch)
    plot = score_against_cost([run], 'accuracy', 'macs', (1e6, 9e6))
    spans = [r.glyph for kind, _, r in sources(plot) if kind == 'VSpan']
    assert [span.x for span in spans] == ['x', 'x']
    values = [list(data['x']) for kind, data, _ in sources(plot) if kind == 'VSpan']
    assert values == [[1.0], [9.0]]
    assert labels(plot) == ['front', 'archs', 'winner', 'limit 1', 'limit 9']
    (marked,) = [
        data for _, data, r in sources(plot) if getattr(r.glyph, 'marker', None) == 'diamond'
    ]
    assert marked['arch'] == [SPACE.encode(winner.arch)] and marked['y'] == [winner.score]


def test_the_curve_has_the_best_so_far_and_what_failed():
    plot = search_curve([Run('search', SPACE, RECORDS)], 'accuracy')
    (_, step, _) = next(found for found in sources(plot) if found[0] == 'Step')
    best, expected = -1.0, []
    for record in SCORED:
        best = max(best, record.score)
        expected.append(best)
    assert list(step['y']) == expected
    assert list(step['x']) == [record.index + 1 for record in SCORED]
    assert labels(plot) == ['archs', 'best so far', '1 failed']


def test_several_runs_have_a_colour_and_a_name_each():
    runs = [Run(name, SPACE, records(10, seed)) for seed, name in enumerate(['one', 'two'])]
    for plot in (search_curve(runs, 'accuracy'), score_against_cost(runs, 'accuracy', 'macs')):
        assert labels(plot) == ['one', 'two']
        colours = {r.glyph.line_color for kind, _, r in sources(plot) if kind == 'Step'}
        assert len(colours) == 2


@pytest.mark.parametrize('score', [1e300, -1e300, 0.0])
def test_absurd_and_equal_scores_are_drawn(score):
    odd = [Record(i, (0,) * 8, score, {}, dict(macs=1.0)) for i in range(2)]
    run = Run('search', SPACE, odd)
    assert np.isfinite(dots(search_curve([run], 'score'))['y']).all()
    score_against_cost([run], 'score', 'macs')


def test_other_costs_have_their_unit():
    slow = [Record(0, (0,) * 8, 1.0, {}, dict(macs=2e6, latency=3.5))]
    plot = score_against_cost([Run('s', SPACE, slow)], 'score', 'latency')
    assert plot.xaxis[0].axis_label == 'latency (ms)' and dots(plot)['x'] == [3.5]


def test_curves_and_rankers():
    plot = lines(dict(first=([0, 1], [2.0, 1.0])), 'iteration', 'loss')
    assert list(sources(plot)[0][1]['y']) == [2.0, 1.0] and labels(plot) == ['first']
    archs = [record.arch for record in SCORED]
    macs = [record.costs['macs'] for record in SCORED]
    truth = [record.score for record in SCORED]
    plot = truth_against_score(SPACE, archs, macs, truth, macs, 'macs')
    np.testing.assert_allclose(dots(plot)['x'], np.array(macs) / 1e6)
    assert dots(plot)['y'] == truth and plot.xaxis[0].axis_label == 'score / 1e+06'
