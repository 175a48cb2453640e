"""The floors of the package: imports point downward only."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / 'pinas_mm'
# The rooms, top floor first (docs/design.md). A room imports from its own floor and those below.
FLOORS = (
    'api pipelines engine subnets visualization strategies ranking costs scoring converters models '
    'tasks searching datasets evaluation spaces'
).split()
# What can be used without torch: installed alone, these rooms need numpy and well-kept libraries.
WITHOUT_TORCH = ('spaces', 'searching')


def imported(text, file):
    """Every module and name that a file imports, anywhere in it, by full name."""
    package, names = ['pinas_mm', *Path(file).parts[:-1]], set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = '.'.join([*base, *filter(None, [node.module])])
            names |= {module} | {f'{module}.{alias.name}' for alias in node.names}
    return names


def wrong(text, file):
    """What a file imports from a floor above its own, and torch where there is to be none."""
    room, names = Path(file).parts[0], imported(text, file)
    above = [f'pinas_mm.{other}' for other in FLOORS[: FLOORS.index(room)]]
    above += ['torch', 'mmengine', 'mmcv', 'mmpretrain'] if room in WITHOUT_TORCH else []
    return {name for name in names for part in above if f'{name}.'.startswith(f'{part}.')}


def test_the_check_sees_every_form_of_import():
    forms = [
        'from ..engine.loaders import x',
        'from .. import engine',
        'def f():\n    import torch.nn',
    ]
    assert all(wrong(form, 'spaces/x.py') for form in forms)
    assert not wrong('from ..costs import measure_costs', 'strategies/x.py')


def test_imports_point_downward():
    files = [
        path.relative_to(PACKAGE) for room in FLOORS for path in (PACKAGE / room).rglob('*.py')
    ]
    assert len(files) > 100
    found = {str(file): wrong((PACKAGE / file).read_text(), file) for file in files}
    assert not {file: names for file, names in found.items() if names}
    # What stands below all rooms imports none of them.
    for path in PACKAGE.glob('*.py'):
        names = imported(path.read_text(), path.name)
        if path.name == '__init__.py':  # the package's door: it imports the API when it is asked
            names = {name for name in names if not name.startswith('pinas_mm.api')}
        rooms = {f'pinas_mm.{room}' for room in FLOORS}
        assert not {name for name in names if '.'.join(name.split('.')[:2]) in rooms}, path.name
    folders = {path.name for path in PACKAGE.iterdir() if (path / '__init__.py').exists()}
    assert folders - {'configs'} == set(FLOORS)
