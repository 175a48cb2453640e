import json
import shutil

import pytest
from browser import check_page
from page_text import shown
from report_dirs import SCORE, SPACE, dsnas_dir

from pinas_mm.errors import InputError
from pinas_mm.visualization.dsnas_report import probability_svgs, write_dsnas_report


def test_the_page_says_what_the_files_say(tmp_path):
    result = dsnas_dir(tmp_path)
    text = shown(write_dsnas_report(tmp_path))
    for part in (
        f'The found network is arch {result["arch"]}',
        f'91.25 {SCORE}',
        '3.00 M MACs',
        '2.5 min time of training',
        '1.7 min: 3 epochs, 57 iterations with the supernet',
        '50 s, the found network alone',
        'slot 0: identity 20%',
        'slot 1: mb6_k5 50%',
        'BN sees one image',
        'python tools/dsnas.py',
        f'python tools/export.py {tmp_path}/subnet.yaml --config dsnas.py',
    ):
        assert part in text, part
    assert 'FileClient' not in text


def test_bars_are_as_long_as_the_probabilities():
    (svg,) = probability_svgs(SPACE, (0,) * 8, [[0.2, 0.3, 0.5]] * 8)
    assert [svg.count(f'width="{300 * share:.1f}"') for share in (0.2, 0.3, 0.5)] == [8] * 3


def test_without_logs_and_facts_there_is_a_page_too(tmp_path):
    dsnas_dir(tmp_path)
    for name in ('search', 'train'):
        shutil.rmtree(tmp_path / name)
    (tmp_path / 'report.json').unlink()
    text = shown(write_dsnas_report(tmp_path))
    assert 'The training' not in text and 'winner: 02120122' in text


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(probabilities=[[1.0]] * 8), r'probabilities of \[1'),
        (dict(seconds='long'), 'seconds'),
        (dict(hacked=1), 'hacked: unknown key'),
    ],
)
def test_wrong_files_are_named(tmp_path, change, message):
    result = dsnas_dir(tmp_path)
    (tmp_path / 'dsnas.json').write_text(json.dumps(result | change))
    with pytest.raises(InputError, match=rf'dsnas\.json.*{message}'):
        write_dsnas_report(tmp_path)


@pytest.mark.slow
def test_in_a_browser(tmp_path):
    dsnas_dir(tmp_path)
    check_page(write_dsnas_report(tmp_path))
