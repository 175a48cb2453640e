from pathlib import Path

import pytest
from browser import check_page, hovered, opened
from page_text import shown
from report_dirs import SCORE, SPACE, adaptation_dir, dsnas_dir, ranking_dir, search_dir

from pinas_mm.errors import InputError
from pinas_mm.visualization.reports import kind_of, short_names, write_comparison, write_report
from pinas_mm.visualization.run_facts import RunFacts

MAKE = dict(search=search_dir, dsnas=dsnas_dir, adaptation=adaptation_dir, ranking=ranking_dir)


@pytest.fixture
def folders(tmp_path):
    for kind, make in MAKE.items():
        make(tmp_path / kind)
    search_dir(tmp_path / 'other', seed=5)
    return tmp_path


@pytest.mark.parametrize('kind', MAKE)
def test_the_files_tell_the_kind(folders, kind):
    assert kind_of(folders / kind) == kind
    assert write_report(folders / kind) == folders / kind / 'report.html'


def test_of_two_runs_in_a_folder_the_last_one_is_reported(folders):
    search_dir(folders / 'ranking', facts=False)
    for kind in ('ranking', 'search'):
        RunFacts(kind, SPACE.name).write(folders / 'ranking')
        assert kind_of(folders / 'ranking') == kind


def test_a_folder_given_twice_counts_once(folders, monkeypatch):
    monkeypatch.chdir(folders)
    path = write_comparison(['search', 'other', 'search'], 'both.html')
    assert '2 runs compared' in shown(folders / path)


def test_what_has_no_run_is_named(folders):
    with pytest.raises(InputError, match='none: no such folder'):
        kind_of(folders / 'none')
    with pytest.raises(InputError, match=r'dsnas\.json: is a file, expected a work dir'):
        kind_of(folders / 'dsnas/dsnas.json')
    with pytest.raises(InputError, match=r'no run to report.*there is one in .*adaptation'):
        kind_of(folders)
    (folders / 'empty').mkdir()
    with pytest.raises(InputError, match=r'expected one of adapt\.json, .*in it$'):
        kind_of(folders / 'empty')


def test_runs_stand_beside_each_other(folders, monkeypatch):
    monkeypatch.chdir(folders)
    path = write_comparison(['search', 'other', 'dsnas', 'adaptation'], 'both.html')
    text = shown(folders / path)
    assert '4 runs compared' in text and f'The searches by {SCORE}' in text
    for folder in ('search', 'other'):
        found = SPACE.encode(
            search_dir(folders / f'again/{folder}', seed=5 * (folder == 'other'))[1].arch
        )
        assert f'{folder} search nasbench_macro {found}' in text
    assert 'dsnas dsnas nasbench_macro 02120122' in text
    assert 'The found archs of nasbench_macro' in text and 'Rankings' not in text


def test_long_names_are_cut_and_stay_apart():
    parent = Path('/work_dirs/' + 'x' * 40)
    assert short_names([parent / 'a', parent / 'b/search']) == ['a', 'b/search']
    assert short_names([parent / 'a']) == ['a']
    long = short_names([Path('/w/first') / ('y' * 40), Path('/w/z')])
    assert long == ['…' + 'y' * 28, 'z']
    same = [Path('/w/first') / ('y' * 40), Path('/w/second') / ('y' * 40)]
    assert short_names(same) == ['first/' + 'y' * 40, 'second/' + 'y' * 40]


def test_rankings_stand_beside_each_other(folders):
    ranking_dir(folders / 'second', taus=(0.3, 0.5, None))
    path = write_comparison([folders / 'ranking', folders / 'second'], folders / 'both.html')
    text = shown(path)
    assert f'{SCORE} 0.61 [0.51, 0.71] 0.30 [0.20, 0.40]' in text
    assert 'The runs' not in text


@pytest.mark.slow
def test_in_a_browser(folders):
    names = [folders / name for name in ('search', 'other', 'dsnas', 'adaptation', 'ranking')]
    path = write_comparison(names, folders / 'both.html')
    check_page(path)
    with opened(path, 1200) as page:
        hovered(page, 0, 4)
