import json
import re

import pytest
from browser import check_page, hovered, opened
from page_text import shown
from report_dirs import SCORE, SCRIPT, SPACE, search_dir

from pinas_mm.errors import InputError
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.visualization.run_facts import RunFacts
from pinas_mm.visualization.search_report import SearchRun, signed, write_search_report


def test_the_page_says_what_the_files_say(tmp_path):
    found, winner = search_dir(tmp_path)
    path = write_search_report(tmp_path)
    assert path == tmp_path / 'report.html'
    text = shown(path)
    for part in (
        f'The search names arch {SPACE.encode(winner.arch)}',
        f'{winner.score:.0f} {SCORE}, held out',
        'MACs, limit 5.00 M',
        '30 of 30 archs evaluated',
        '13 min time',
        'nasbench_macro: 8 slots, 6,561 archs',
        'MACs at most 5.00 M',
        'Digits, data_root </script>',
        '1,234 samples; 200 of them while searching',
        'python tools/search.py search.py supernet.pth',
        'torch 2.10.0',
        '12 min, after the first 8 archs',
        f'python tools/export.py {tmp_path}/subnet.yaml --config configs/search.py',
        f'model.backbone.arch={tmp_path}/subnet.yaml',
        f'model.backbone.init_cfg.checkpoint={tmp_path}/subnet.pth',
        'loss is odd </script>',
    ):
        assert part in text, part
    said = text.replace(str(tmp_path), '')  # pytest's folder
    assert 'test' not in said, 'scores on held-out data are never called test'
    best = sorted((r for r in found), key=lambda record: -record.score)[:10]
    assert all(SPACE.encode(record.arch) in text for record in best)


def test_what_good_archs_share_is_named(tmp_path):
    search_dir(tmp_path, count=60)
    text = shown(write_search_report(tmp_path))
    assert re.search(r'slot 5 · stage 2 identity: -\d.*?mb6_k5: \+[67]\.\d+ \[\+', text)
    few = tmp_path / 'few'
    search_dir(few, count=9)
    assert 'What good archs share' not in shown(write_search_report(few)), 'too few to say'


def test_nothing_in_the_page_runs_but_the_plots(tmp_path):
    search_dir(tmp_path, failed=(2,))
    page = write_search_report(tmp_path).read_text()
    assert 'window.hacked' in page and '</script><script>window' not in page
    assert '<memory>' not in page


def test_an_unfinished_search_has_a_page_too(tmp_path):
    search_dir(tmp_path, finished=False, budget=100, drawings={})
    text = shown(write_search_report(tmp_path, tmp_path / 'other.html'))
    assert not (tmp_path / 'report.html').exists()
    assert 'not finished: 30 of 100 archs are evaluated' in text
    assert 'python tools/search.py search.py supernet.pth --resume' in text


def test_a_finished_search_that_goes_on_with_more_archs_is_not_finished(tmp_path):
    """It was stopped: ``subnet.yaml`` is of the smaller budget."""
    search_dir(tmp_path, budget=100, drawings={})
    text = shown(write_search_report(tmp_path))
    assert 'not finished: 30 of 100 archs are evaluated' in text and 'tools/export.py' not in text


def test_a_subnet_file_of_another_search_names_no_winner(tmp_path):
    found, _ = search_dir(tmp_path, facts=False)
    path = tmp_path / 'subnet.yaml'
    other = next(
        arch
        for arch in ((0,) * 8, (1,) * 8, (2,) * 8)
        if arch not in {record.arch for record in found}
    )
    SubnetFile(SPACE.name, other, 1.0).write(path)
    assert 'not finished' in shown(write_search_report(tmp_path))


def test_warnings_of_the_log_file_are_on_the_page(tmp_path):
    """Also of a start that was killed, and those from before the search began."""
    search_dir(tmp_path)
    (tmp_path / 'start').mkdir()
    (tmp_path / 'start/start.log').write_text(
        '2026/11/30 20:00:00 - mmengine - WARNING - BN sees 16 images\n'
        f'2026/11/30 20:00:00 - mmengine - WARNING - loss is odd {SCRIPT}\n'
    )
    text = shown(write_search_report(tmp_path))
    assert 'BN sees 16 images' in text and text.count('loss is odd') == 1


def test_the_facts_of_a_ranking_in_the_same_folder_are_not_the_searchs(tmp_path):
    search_dir(tmp_path, facts=False)
    RunFacts('ranking', SPACE.name, command='python tools/rank.py', widen_factor=4.0).write(
        tmp_path
    )
    text = shown(write_search_report(tmp_path))
    assert 'rank.py' not in text and 'macs in [-inf, 5e+06]' in text


def test_a_work_dir_of_the_version_before_has_a_page_too(tmp_path):
    _, winner = search_dir(tmp_path, facts=False)
    text = shown(write_search_report(tmp_path))
    assert f'winner: {SPACE.encode(winner.arch)}' in text and 'macs in [-inf, 5e+06]' in text


def test_a_search_of_which_every_arch_failed_or_scores_the_same(tmp_path):
    search_dir(tmp_path / 'one', count=3, failed=(0, 1))
    assert 'RuntimeError: no <memory>' in shown(write_search_report(tmp_path / 'one'))
    folder = tmp_path / 'equal'
    search_dir(folder, count=20)
    lines = (folder / 'history.jsonl').read_text().splitlines()
    same = [
        json.dumps(json.loads(line) | dict(score=5.0)) if '"index"' in line else line
        for line in lines
    ]
    (folder / 'history.jsonl').write_text('\n'.join(same) + '\n')
    assert 'What good archs share' not in shown(write_search_report(folder))


@pytest.mark.parametrize(
    'file, text, message',
    [
        ('history.jsonl', 'no\n', 'history.jsonl'),
        ('history.jsonl', '{"space": "other"}\n', "unknown space 'other'"),
        ('history.jsonl', '[1]\n', 'not a search history'),
        ('report.json', '{}', 'report.json'),
        ('subnet.yaml', 'space: nasbench_macro\narch: [1]\n', 'subnet.yaml'),
    ],
)
def test_wrong_files_are_named(tmp_path, file, text, message):
    search_dir(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=message):
        write_search_report(tmp_path)
    assert not (tmp_path / 'report.html').exists()


def test_a_folder_without_a_history_is_named(tmp_path):
    with pytest.raises(InputError, match=r'history\.jsonl: no such file'):
        SearchRun.read(tmp_path)


def test_differences_have_a_sign():
    assert [signed(x, 1) for x in (1.25, -0.33, 0.01, -0.01)] == ['+1.2', '-0.3', '0.0', '0.0']


@pytest.mark.slow
def test_in_a_browser(tmp_path):
    found, _ = search_dir(tmp_path, failed=(2,))
    path = write_search_report(tmp_path)
    check_page(path)
    scored = [record for record in found if record.score is not None]
    with opened(path, 1200) as page:
        for plot in (0, 1):
            point = hovered(page, plot, 7)
            assert point['arch'] == SPACE.encode(scored[7].arch)
            assert point['scores'] == [record.score for record in scored]
            assert page.get_by_text(point['names'], exact=True).last.is_visible()
        assert not page.errors
    with opened(path, 380) as page:
        hovered(page, 0, 7)
