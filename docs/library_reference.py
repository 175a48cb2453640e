"""A Sphinx extension: the reference of the command line and of the library, made at build time.

It writes ``reference/generated/tools.rst`` from the tools' ``--help``, and a page for each room of
the package with its docstrings."""

import subprocess
import sys
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

# Rooms in the order of docs/design.md, with the question each answers.
ROOMS = {
    'pipelines': 'Which whole method runs, in which stages?',
    'engine': 'How does it plug into mmengine: loops, hooks, runner, wrappers?',
    'subnets': 'How does a found network leave: subnet file, config, export?',
    'visualization': 'What does it look like?',
    'strategies': 'How are supernet weights trained?',
    'ranking': 'How well do scores order archs?',
    'costs': 'What does an arch cost: MACs, parameters, latency?',
    'scoring': "What is an arch worth with the supernet's weights?",
    'converters': 'How do published checkpoints get in?',
    'models': 'What runs: backbones, heads, self-supervised learning?',
    'tasks': 'What does one task need?',
    'searching': 'Which arch is evaluated next?',
    'datasets': 'Which data is of general use?',
    'evaluation': 'Which metrics are of general use?',
    'spaces': 'What can be searched?',
}


def modules_of(room: str) -> list[str]:
    """The modules of a room, by name."""
    package = __import__(f'pinas_mm.{room}', fromlist=['_'])
    found = [info.name for info in walk_packages(package.__path__, f'{package.__name__}.')]
    return sorted(found)


def room_page(room: str, question: str) -> str:
    """The page of a room: the docstrings of its modules."""
    lines = [f'pinas_mm.{room}', '=' * len(f'pinas_mm.{room}'), '', f'*{question}*', '']
    for module in modules_of(room):
        lines += [module.removeprefix('pinas_mm.'), '-' * len(module), '']
        lines += [f'.. automodule:: {module}', '   :members:', '']
    return '\n'.join(lines)


def tools_page(folder: Path) -> str:
    """The page of the command line: what each tool says of itself."""
    title = 'Tools'
    lines = [title, '=' * len(title), '', '*Which options does a command have?*', '']
    lines += [
        '``python tools/NAME.py`` in a checkout, ``python -m pinas_mm NAME`` where the package is '
        'installed.',
        '',
    ]
    for path in sorted(folder.glob('*.py')):
        if 'run_tool(main)' not in path.read_text():
            continue
        run = subprocess.run(
            [sys.executable, path, '--help'],
            capture_output=True,
            text=True,
            check=True,
            env={'COLUMNS': '90', 'PATH': ''},
        )
        lines += [path.stem, '-' * len(path.stem), '', '.. code-block:: text', '']
        lines += [f'   {line}'.rstrip() for line in run.stdout.splitlines()] + ['']
    return '\n'.join(lines)


def write_pages(app: Any) -> None:
    """Writes the pages. One that would be the same is left alone, so that Sphinx does not read it
    again."""
    folder = Path(app.srcdir) / 'reference/generated'
    folder.mkdir(parents=True, exist_ok=True)
    pages = {f'library_{room}': room_page(room, question) for room, question in ROOMS.items()}
    pages['tools'] = tools_page(Path(app.srcdir).parent / 'tools')
    for name, text in pages.items():
        path = folder / f'{name}.rst'
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect('builder-inited', write_pages)
    return dict(parallel_read_safe=True, parallel_write_safe=True)
