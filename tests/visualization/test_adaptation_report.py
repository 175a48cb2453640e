import json

import pytest
from browser import check_page, hovered, opened
from page_text import shown
from report_dirs import SCORE, adaptation_dir

from pinas_mm.errors import InputError
from pinas_mm.visualization.adaptation_report import operations, write_adaptation_report


def test_the_page_says_what_the_files_say(tmp_path):
    report = adaptation_dir(tmp_path)
    text = shown(write_adaptation_report(tmp_path))
    changed = sum(slot['source'] != slot['found'] for slot in report['slots'])
    for part in (
        f'The adapted network is arch {report["arch"]}; the source was 22222222.',
        f'91.54 {SCORE}, test set',
        'joint adaptation 91.54',
        '(a) fixed source arch nan',
        f'{changed} of 8 slots differ.',
        'fine-tune the supernet 60 s 5 G',
        'in all 3.0 min 15 G',
        'The search was forecast to take 12 min after its first 8 archs; it took 13 min.',
        'MACs at most 5.00 M',
        'source: 22222222',
        'Score against cost',
        'BN sees one image',
        f'python tools/export.py {tmp_path}/search/subnet.yaml',
        'python tools/test.py configs/adapt.py',
    ):
        assert part in text, part


def test_an_unfinished_adaptation_has_a_page_too(tmp_path):
    adaptation_dir(tmp_path, finished=False)
    text = shown(write_adaptation_report(tmp_path))
    assert 'Not finished: no network is tested yet. Done: fine-tune the supernet.' in text
    assert 'Go on with the next steps: python tools/adapt.py configs/adapt.py' in text


def test_wrong_files_are_named(tmp_path):
    report = adaptation_dir(tmp_path)
    (tmp_path / 'adapt.json').write_text(json.dumps(report | dict(steps=dict(search=3))))
    with pytest.raises(InputError, match=r'adapt\.json: steps\.search=3'):
        write_adaptation_report(tmp_path)


def test_operations_have_three_digits():
    assert [operations(x) for x in (12, 5e9, 1.478e11, 3e16)] == ['12', '5 G', '148 G', '30 P']


@pytest.mark.slow
def test_in_a_browser(tmp_path):
    adaptation_dir(tmp_path)
    path = write_adaptation_report(tmp_path)
    check_page(path)
    with opened(path, 380) as page:
        hovered(page, 0, 3)
        assert not page.errors
