"""Both READMEs: short, alike, and every link in them and in the pages leads somewhere."""

import re
from importlib.util import find_spec
from pathlib import Path

import pandas
import pytest
import torch
from markdown_it import MarkdownIt
from odd_images import write_odd_images

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ROOT / 'README.md', ROOT / 'README_zh-CN.md'
READMES = [ENGLISH, CHINESE]
# What is read on a forge as it stands; the pages' own links are checked when the site is built.
PAGES = [*READMES, ROOT / 'CONTRIBUTING.md', ROOT / 'CHANGELOG.md']


def targets(path):
    """Every link and image of a Markdown file."""
    tokens = MarkdownIt('commonmark').enable('table').parse(path.read_text())
    inline = [child for token in tokens for child in token.children or []]
    for token in inline:
        if token.type in ('link_open', 'image'):
            yield token.attrs.get('href', token.attrs.get('src'))


def anchors(path):
    """The anchors of a page's headings, as forges and MyST make them, and its labels."""
    text = re.sub(r'```.*?```', '', path.read_text(), flags=re.DOTALL)
    titles = re.findall(r'^#+ (.*)$', text, re.MULTILINE)
    made = {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}
    return made | set(re.findall(r'^\(([\w-]+)\)=$', text, re.MULTILINE))


def outline(path):
    """Links, code blocks and the number of headings, table rows and list entries."""
    text = path.read_text()
    tokens = MarkdownIt('commonmark').enable('table').parse(text)
    code = [token.content for token in tokens if token.type == 'fence']
    kinds = ('heading_open', 'tr_open', 'list_item_open', 'image')
    return (
        sorted(target for target in targets(path) if 'README' not in target),
        [re.sub(r' +#.*', '', block) for block in code],  # comments are translated
        [sum(token.type == kind for token in tokens) for kind in kinds],
    )


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading(path):
    for target in targets(path):
        if '://' in target:
            continue
        name, _, anchor = target.partition('#')
        file = path.parent / name if name else path
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize('path', READMES, ids=lambda path: path.name)
def test_a_readme_has_at_most_120_lines(path):
    assert len(path.read_text().splitlines()) <= 120


def test_the_chinese_readme_has_the_same_links_code_and_tables():
    assert outline(CHINESE) == outline(ENGLISH)


def test_the_numbers_of_the_results_are_the_same_in_both():
    def numbers(path):
        rows = [line for line in path.read_text().splitlines() if line.startswith('| ')]
        return [sorted(re.findall(r'\d+\.\d+|\[\d+, \d+\]', row)) for row in rows]

    assert numbers(CHINESE) == numbers(ENGLISH)
    assert sum(map(len, numbers(ENGLISH))) > 15


def test_the_numbers_of_the_results_stand_on_the_pages_that_they_link_to():
    rows = [line for line in ENGLISH.read_text().splitlines() if 'docs/results/' in line]
    rows = [row for row in rows if row.startswith('| ')]
    assert len(rows) == 6
    for row in rows:
        (page,) = re.findall(r'\((docs/results/\w+\.md)\)', row)
        text = (ROOT / page).read_text()
        known = {round(float(number), 1) for number in re.findall(r'\d+\.\d+', text)}
        known |= {round(float(number), 2) for number in re.findall(r'\d+\.\d+', text)}
        for number in re.findall(r'\d+\.\d+', row):
            assert float(number) in known, f'{number} of {row}'


@pytest.mark.slow
def test_the_ten_lines_search_a_supernet_and_export_what_they_find(tmp_path, monkeypatch):
    import pinas_mm as nas
    from pinas_mm.checkpoint import save_checkpoint

    (code,) = re.findall(r'```python\n(.*?)```', ENGLISH.read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    monkeypatch.chdir(tmp_path)
    Path('configs').symlink_to(ROOT / 'configs')
    monkeypatch.setenv('PINAS_DATA', 'images')
    write_odd_images(tmp_path / 'images', train=20, test=4)
    name = re.search(r"'(configs/.*?)'", code)[1]
    torch.manual_seed(0)
    weights = nas.supernet(name).model.state_dict()
    Path('work_dirs/linear').mkdir(parents=True)
    save_checkpoint('work_dirs/linear/epoch_3.pth', weights, {})
    if find_spec('pinas_mm.visualization.search_report') is None:
        code = re.sub(r'result.report.*', '', code)
    found = {}
    exec(compile(code.replace('archs=200', 'archs=4'), 'README.md', 'exec'), found)
    table = found['result'].table()
    assert isinstance(table, pandas.DataFrame) and len(table) == 4 and (table.macs <= 4e6).all()
    assert found['net'](torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    assert Path('best.onnx').is_file() and Path('work_dirs/search/subnet.yaml').is_file()
