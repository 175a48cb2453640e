#!/usr/bin/env python
"""Writes every config of configs/ for mmengine's pure-Python dialect, as
pinas_mm/configs/<folder>/<name>.py.

    python tools/generate_configs.py            after any change below configs/
    python tools/generate_configs.py --check    exits with 1 and names what is not current

The dialects cannot inherit from each other, and the mm packages ship their configs as text only. So
each file here holds the resolved values of one text config: a repo that has only the wheel inherits
it with

    with read_base():
        from pinas_mm.configs.pinas.pinas_resnest50_8xb24_coslr_100e_in1k import *

Needs every mm package that a config inherits from, and ruff (requirements/tests.txt), which lays
the files out."""

import ast
import keyword
import re
import subprocess
import sys
from pathlib import Path

from command_line import plain_parser, run_tool

TOP = Path(__file__).resolve().parents[1]
COMMAND = 'python tools/generate_configs.py'
# mmengine's {{$NAME:default}} at the start of a string. Only the text dialect replaces it; both can
# call getenv.
ENVIRONMENT = re.compile(r"'\{\{\s*\$(\w+)\s*:\s*(\S*?)\s*\}\}")
RUFF = (
    '-m',
    'ruff',
    'format',
    '--isolated',
    '--line-length',
    '140',
    '--config',
    'format.quote-style="single"',
    '-',
)


def module_path(name: Path) -> Path:
    """The importable form of a config's path below configs/: ``a-b/c+d.e.py`` becomes
    ``a_b/c_d_e.py``.

    Raises:
        InputError: Python cannot import it, since a part is a keyword, starts with a digit or has
            yet another character.
    """
    from pinas_mm.errors import InputError

    parts = [re.sub(r'[-+.]', '_', part) for part in name.with_suffix('').parts]
    for part in parts:
        if not part.isidentifier() or keyword.iskeyword(part):
            raise InputError(
                f'{name}: no name for an import, {part!r}; expected letters, digits, "_", "-", '
                f'"+" and ".", no digit first'
            )
    return Path(*parts).with_suffix('.py')


def generate(path: Path, name: Path) -> str:
    """The pure-Python form of one text config, not laid out: a docstring and one assignment of
    plain data per key.

    It imports nothing that mmengine would take for a lazy object, so it serves as a base in both
    dialects.

    Args:
        path: The text config.
        name: Its path below configs/, for the docstring.

    Raises:
        InputError: It cannot be read, or holds what is not plain data or a path of this machine.
    """
    from mmengine.config import Config

    from pinas_mm.errors import InputError

    try:
        values = Config.fromfile(path, use_environment_variables=False).to_dict()
    except Exception as error:  # a config is code: whatever it raises, its author can mend
        raise InputError(f'{path}: {type(error).__name__}: {error}') from error
    lines = []
    for key, value in values.items():
        written = repr(value)
        try:
            plain = ast.literal_eval(written) == value
        except (SyntaxError, ValueError):
            plain = False
        if not plain:
            raise InputError(f'{path}: {key} is not plain data: {written}')
        for place in (str(path.resolve().parents[len(name.parts)]), sys.prefix):
            if place in written:
                raise InputError(f'{path}: {key} holds a path of this machine, {place}')
        lines.append(f'{key} = {written}')
    text = ENVIRONMENT.sub(r"getenv('\1', '\2') + '", '\n'.join(lines)).replace(" + ''", '')
    if '{{' in text:
        raise InputError(f'{path}: an environment variable is expected at the start of a string')
    imports = 'from os import getenv\n' if 'getenv(' in text else ''
    return (
        f'"""Do not edit. {COMMAND} wrote it '
        f'from\nconfigs/{name.as_posix()}\n"""\n{imports}{text}\n'
    )


def generate_all(source: Path) -> dict[Path, str]:
    """Every generated file below ``pinas_mm/configs`` with its text.

    Raises:
        InputError: Two configs have the same importable name, or one cannot be generated.
    """
    from pinas_mm.errors import InputError

    names: dict[Path, Path] = {}
    texts = {}
    for path in sorted(source.rglob('*.py')):
        name = path.relative_to(source)
        if '_base_' in name.parts:
            continue
        module = module_path(name)
        if module in names:
            raise InputError(
                f'{name} and {names[module]} have the same importable name, {module}; rename one'
            )
        names[module] = name
        texts[module] = generate(path, name)
    if not texts:
        raise InputError(f'{source}: no configs there')
    return texts


def differences(texts: dict[Path, str], destination: Path) -> dict[Path, str]:
    """What is wrong with each file that is not current: 'missing', 'stale' or 'left over'. Layout
    does not count."""
    found = {}
    for module, text in texts.items():
        file = destination / module
        if not file.is_file():
            found[module] = 'missing'
        elif _tree(file.read_text(encoding='utf-8')) != _tree(text):
            found[module] = 'stale'
    left = {file.relative_to(destination) for file in destination.rglob('*.py')} - texts.keys()
    return found | dict.fromkeys(sorted(left), 'left over')


def _tree(text: str) -> str | None:
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:
        return None


def main() -> None:
    options = plain_parser(__doc__)
    options.add_argument(
        '--check',
        action='store_true',
        help='write nothing; exit with 1 where a file is not current',
    )
    options.add_argument('--source', type=Path, default=TOP / 'configs', help='the text configs')
    options.add_argument(
        '--destination', type=Path, default=TOP / 'pinas_mm/configs', help='the generated ones'
    )
    args = options.parse_args()

    from pinas_mm.fileio import write_atomic

    texts = generate_all(args.source)
    found = differences(texts, args.destination)
    for module, problem in found.items():
        print(f'{args.destination / module}: {problem}')
        if args.check:
            continue
        if problem == 'left over':
            (args.destination / module).unlink()
            continue
        layout = subprocess.run(
            [sys.executable, *RUFF],
            input=texts[module],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        write_atomic(
            args.destination / module, lambda file, layout=layout: file.write(layout.encode())
        )
    if args.check and found:
        sys.exit(1)


if __name__ == '__main__':
    run_tool(main)
