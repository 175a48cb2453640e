import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'pinas_mm'
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob('*.py'))
# What a layer may not import, from the lowest up.
FORBIDDEN = dict(
    spaces=('torch', 'mmengine', 'mmcv', 'mmpretrain', 'pinas_mm.models', 'pinas_mm.search', 'pinas_mm.strategies', 'pinas_mm.engine'),
    models=('pinas_mm.search', 'pinas_mm.strategies', 'pinas_mm.engine', 'mmengine.runner'),
    datasets=('pinas_mm.models', 'pinas_mm.search', 'pinas_mm.strategies', 'pinas_mm.engine', 'mmengine.runner'),
    evaluation=('pinas_mm.models', 'pinas_mm.search', 'pinas_mm.strategies', 'pinas_mm.engine', 'mmengine.runner'),
    search=('pinas_mm.engine', 'pinas_mm.strategies', 'mmengine.runner', 'mmengine.hooks'),
    strategies=('pinas_mm.engine', 'mmengine.runner'))


def imported(text, file):
    """Every module and name that a file imports, anywhere in it, by full name."""
    package = ['pinas_mm', *Path(file).parts[:-1]]
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) + 1 - node.level] if node.level else []
            module = '.'.join([*base, *filter(None, [node.module])])
            names |= {module} | {f'{module}.{alias.name}' for alias in node.names}
    return names


def wrong(text, file):
    names = imported(text, file)
    return {name for name in names for part in FORBIDDEN.get(Path(file).parts[0], ()) if f'{name}.'.startswith(f'{part}.')}


@pytest.mark.parametrize('line, file, found', [
    ('from ..search.search import search', 'spaces/base.py', {'pinas_mm.search.search', 'pinas_mm.search.search.search'}),
    ('from .. import search', 'models/x.py', {'pinas_mm.search'}),
    ('from ... import engine', 'search/searchers/x.py', {'pinas_mm.engine'}),
    ('def f():\n    import torch.nn', 'spaces/x.py', {'torch.nn'}),
    ('from mmengine.runner import Runner', 'search/x.py', {'mmengine.runner', 'mmengine.runner.Runner'}),
    ('from mmengine import runner', 'models/x.py', {'mmengine.runner'}),
    ('from ...spaces import Arch\nfrom .searchable import X\nfrom ...searching import y', 'models/backbones/x.py', set()),
    ('from ..search import search', 'engine/x.py', set()),
    ('from ..search.cost import measure_costs', 'strategies/x.py', set()),
    ('from ..strategies import fair', 'search/x.py', {'pinas_mm.strategies', 'pinas_mm.strategies.fair'}),
])
def test_the_check_itself(line, file, found):
    assert wrong(line, file) == found


@pytest.mark.parametrize('file', FILES, ids=str)
def test_imports_point_downward(file):
    assert wrong((PACKAGE / file).read_text(), file) == set()


def test_searchers_need_no_torch():
    files = [file for file in FILES if file.parts[:2] == ('search', 'searchers')] + [Path('search/search.py'), Path('search/history.py')]
    assert len(files) >= 6
    for file in files:
        assert not {name for name in imported((PACKAGE / file).read_text(), file) if name.split('.')[0] in ('torch', 'mmengine')}, file


def test_files_are_named_for_what_they_hold_and_of_a_size_to_read():
    assert len(FILES) > 30
    assert not [file for file in FILES if file.stem.strip('_') in ('utils', 'util', 'helpers', 'helper', 'misc', 'common')]
    assert not {str(file): lines for file in FILES if (lines := len((PACKAGE / file).read_text().splitlines())) > 400}
    assert max(len(file.parts) for file in FILES) <= 4


def test_a_hook_file_holds_the_hook_it_is_named_for():
    hooks = [file for file in FILES if file.name.endswith('_hook.py')]
    assert hooks and all(file.parts[:2] == ('engine', 'hooks') for file in hooks)
    for file in hooks:
        classes = [node.name for node in ast.parse((PACKAGE / file).read_text()).body if isinstance(node, ast.ClassDef)]
        assert [name.lower() for name in classes] == [file.stem.replace('_', '')]
