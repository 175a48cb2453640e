"""Runs a tool of the installed package: ``python -m pinas_mm search CONFIG CHECKPOINT`` is
``tools/search.py`` of a checkout. mim finds the same files (``mim run pinas_mm search``)."""

import runpy
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent / '.mim/tools'
# What tools share, and what builds a wheel.
NO_TOOLS = ('command_line', 'generate_configs')


def main() -> None:
    names = sorted({path.stem for path in TOOLS.glob('*.py')}.difference(NO_TOOLS))
    name = sys.argv[1] if len(sys.argv) > 1 else ''
    usage = f'usage: python -m pinas_mm TOOL ..., with one of {", ".join(names)}'
    if name in ('-h', '--help'):
        print(f'{usage}\npython -m pinas_mm TOOL --help says what it does')
        return
    if name not in names:
        print(usage, file=sys.stderr)
        print(f'error: {name!r} is no tool' if name else 'error: no tool given', file=sys.stderr)
        sys.exit(2)
    sys.argv = [str(TOOLS / f'{name}.py'), *sys.argv[2:]]
    sys.path.insert(0, str(TOOLS))  # as if it were run by its path
    runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
    main()
