"""The site: it is built without a warning, and its reference has every class and key."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / 'docs'


@pytest.fixture(scope='module')
def config_reference():
    sys.path.insert(0, str(DOCS))
    try:
        import config_reference
    finally:
        sys.path.remove(str(DOCS))
    return config_reference


def pages():
    built = ('_build', 'generated')
    return [path for path in DOCS.rglob('*.md') if not set(built) & set(path.parts)]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_pages_are_built_without_a_warning(tmp_path):
    run = subprocess.run(
        [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b', 'html']
        + ['-d', tmp_path / 'doctrees', DOCS, tmp_path / 'html'],
        env=os.environ | dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    for path in pages():
        assert (tmp_path / 'html' / path.relative_to(DOCS).with_suffix('.html')).is_file()
    loops = (tmp_path / 'html/reference/generated/loops.html').read_text()
    assert 'SearchLoop' in loops and 'score_samples' in loops
    assert 'pinas_mm.searching.search' in (tmp_path / 'html/genindex.html').read_text()


def test_every_registered_class_has_its_place_in_the_reference(config_reference):
    from mmengine.registry import Registry

    from pinas_mm import registry
    from pinas_mm.searching.searchers import SEARCHERS

    shown = [cls for _, _, classes in config_reference.groups().values() for cls in classes]
    assert len(shown) == len(set(shown)), 'a class stands on two pages'
    own = [v for v in vars(registry).values() if isinstance(v, Registry) and v.scope == 'pinas_mm']
    assert len(own) == 9
    registered = {cls for known in own for cls in known.module_dict.values()}
    registered |= set(SEARCHERS.values())
    ours = {cls for cls in registered if cls.__module__.startswith('pinas_mm.')}
    assert set(shown) == ours


def test_every_key_is_explained(config_reference):
    for _, _, classes in config_reference.groups().values():
        for cls in classes:
            unexplained = [key.name for key in config_reference.keys_of(cls) if not key.text]
            assert not unexplained, f'{cls.__name__}: {unexplained}'


def test_the_keys_of_a_class_are_its_arguments_with_their_defaults(config_reference):
    from pinas_mm.engine.search_loop import SearchLoop

    keys = {key.name: key for key in config_reference.keys_of(SearchLoop)}
    assert 'runner' not in keys and keys['searcher'].default == 'required'
    assert keys['top_k'].default == '10' and keys['score'].default == "'accuracy/top1'"
    assert 'scored again on the whole held-out split' in keys['top_k'].text
    # Arguments that share a text, and those of a class that is extended.
    assert keys['calibration_batches'].text == keys['autocast'].text != ''
    from pinas_mm.searching.searchers.evolution import EvolutionSearcher

    inherited = {key.name for key in config_reference.keys_of(EvolutionSearcher)}
    assert {'population', 'additive'} <= inherited and 'self' not in inherited


def test_every_room_and_every_tool_is_in_the_reference():
    sys.path.insert(0, str(DOCS))
    try:
        import library_reference
    finally:
        sys.path.remove(str(DOCS))
    rooms = {path.parent.name for path in (ROOT / 'pinas_mm').glob('*/__init__.py')}
    assert rooms - {'api', 'configs'} == {*library_reference.ROOMS}
    api = (DOCS / 'reference/api.md').read_text()
    import pinas_mm

    listed = re.findall(r'auto(?:function|class):: pinas_mm\.(\w+)', api)
    assert {*listed, '__version__', 'config_path'} == {*pinas_mm.__all__}
    assert all(f'generated/library_{room}' in api for room in library_reference.ROOMS)
    tools = {
        path.stem for path in (ROOT / 'tools').glob('*.py') if 'def main' in path.read_text()
    } - {'command_line'}
    listed = re.findall(r'^(\w+)\n-+$', library_reference.tools_page(ROOT / 'tools'), re.MULTILINE)
    assert set(listed) == tools


def test_every_page_starts_with_the_question_of_its_reader():
    for path in pages():
        text = path.read_text()
        if text.startswith('```{include}'):
            continue
        title, _, rest = text.partition('\n\n')
        assert title.startswith('# '), path
        question = rest.partition('\n\n')[0]
        assert re.fullmatch(r'\*[^*].*\?\*', question, re.DOTALL), path
