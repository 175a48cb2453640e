import json

import pytest
from browser import check_page, hovered, opened
from page_text import shown
from report_dirs import SCORE, SPACE, ranking_dir, records

from pinas_mm.errors import InputError
from pinas_mm.visualization.ranking_report_page import forest_svg, write_ranking_report


def test_the_page_says_what_the_files_say(tmp_path):
    ranking_dir(tmp_path)
    text = shown(write_ranking_report(tmp_path))
    for part in (
        f'{SCORE} orders the archs best: 0.61 [0.51, 0.71] (20 archs drawn uniformly).',
        '1 others whose interval overlaps the best',
        '0.80 tau between two trainings (ceiling)',
        'macs 0.42 [0.32, 0.52] 1.2 -',
        '<b>depth</b>: all scores are equal',
        'left out: too few at 3e6',
        f'{SCORE} 81 [81, 81] 0.20 [0.10, 0.30]',
        'What truly good archs share',
        'python tools/search.py configs/rank.py supernet.pth',
    ):
        assert part in text, part


def test_without_facts_there_are_tables_alone(tmp_path):
    ranking_dir(tmp_path)
    (tmp_path / 'report.json').unlink()
    text = shown(write_ranking_report(tmp_path))
    assert 'orders the archs best' in text and 'True accuracy against score' not in text


def test_no_ranker_with_an_order(tmp_path):
    ranking_dir(tmp_path, taus=(None,) * 3)
    assert 'No ranker gives the archs an order.' in shown(write_ranking_report(tmp_path))


def test_the_best_comes_first():
    order = [
        ('one', dict(value=0.5, low=0.4, high=0.6)),
        ('two', dict(value=0.0, low=None, high=None)),
    ]
    svg = forest_svg(order, 'tau', 0.8)
    assert svg.index('>one<') < svg.index('>two<') and 'stroke-dasharray' in svg
    # 0 at the left end of 292 px, 1 at the right one.
    assert f'cx="{4 + 292 * 0.5:.1f}"' in svg and f'x1="{4 + 292 * 0.4:.1f}"' in svg


def test_wrong_files_are_named(tmp_path):
    data = ranking_dir(tmp_path)
    path = tmp_path / 'ranking.json'
    data['archs'][0]['arch'] = '9'
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r'ranking\.json: \[9\] has 1 entries'):
        write_ranking_report(tmp_path)
    del data['samples']['uniform']['rankings']['macs']['tau']
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r'samples\.uniform\.rankings\.macs\.tau'):
        write_ranking_report(tmp_path)


@pytest.mark.slow
def test_in_a_browser(tmp_path):
    ranking_dir(tmp_path)
    path = write_ranking_report(tmp_path)
    check_page(path)
    with opened(path, 1200) as page:
        truth = records(20, seed=3)
        point = hovered(page, 0, 4)
        assert point['arch'] == SPACE.encode(truth[4].arch)
        assert point['scores'] == [record.score for record in truth]
