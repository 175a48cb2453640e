"""What the tools share: options, the config that they name, exit codes.

A tool builds its options and parses them before it imports pinas_mm, mmengine or torch: these take
seconds to import, and ``--help`` or a mistyped option should answer at once. So this module imports
nothing heavy, and the tools import inside ``main()``, after ``parse_args()``."""

import argparse
import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config


def run_tool(main: Callable[[], None]) -> None:
    """Runs a tool. Exit codes: 2 and a one-line message for a user error, 130 for Ctrl-C, 1 and a
    traceback for any other failure.

    After success the process group is ended: gloo's threads may still hold tensors, and abort a
    Python that shuts down around them. After an error it is left, since its end would wait for
    ranks that may be in a collective."""
    try:
        main()
        distributed = sys.modules.get('torch.distributed')
        if distributed is not None and distributed.is_initialized():
            distributed.destroy_process_group()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        message = user_error(error)
        if message is None:
            raise
        print(f'error: {message}', file=sys.stderr)
        sys.exit(2)


def user_error(error: Exception) -> str | None:
    """One line that says what the user can correct; None for any other failure."""
    errors = sys.modules.get('pinas_mm.errors')  # not imported: nothing of it was raised
    if errors is not None and isinstance(error, errors.InputError):
        return ' '.join(str(error).split())
    if isinstance(error, FileNotFoundError):
        return f'no such file: {error.filename or error}'
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f'the disk is full, what was written before is kept: {error}'
    # mmengine's registries raise this for a key of a config that is no argument of the class it
    # names.
    if isinstance(error, TypeError) and re.search(
        r'unexpected keyword argument|missing \d+ required', str(error)
    ):
        return f'wrong config key: {error}'
    if isinstance(error, KeyError) and ' registry. Please check' in str(error):
        return f'unknown type in the config: {error}'
    return None


def plain_parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser that shows a tool's docstring as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with what every config-driven tool takes, as in the mm packages' own
    tools. :func:`read_config` reads the config of its arguments."""
    result = plain_parser(description)
    result.add_argument('config', help='config file')
    result.add_argument(
        '--work-dir', help='where logs and results go (default: work_dirs/<config name>)'
    )
    add_overrides(result, 'overrides, such as train_cfg.max_epochs=10')
    result.add_argument(
        '--launcher',
        choices=('none', 'pytorch', 'slurm', 'mpi'),
        default='none',
        help='job launcher',
    )
    result.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return result


def add_overrides(options: argparse.ArgumentParser, text: str) -> None:
    """Adds ``--cfg-options``, with ``text`` as its help."""
    options.add_argument('--cfg-options', nargs='+', action=KeyValues, default=[], help=text)


class KeyValues(argparse.Action):
    """Keeps ``key=value`` options as text, and refuses any other.

    :func:`pinas_mm.engine.config.option_values` converts the values, as mmengine's ``DictAction``
    does; importing that would take as long as all of mmengine."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: list[str],
        option_string: str | None = None,
    ) -> None:
        for value in values:
            if '=' not in value:
                raise argparse.ArgumentError(self, f'{value!r}, expected key=value')
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), *values])


def non_negative(text: str) -> int:
    """The type of an option such as ``--seed``, for
    :meth:`argparse.ArgumentParser.add_argument`."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r}, expected a whole number of at least 0')
    return int(text)


def read_config(args: argparse.Namespace) -> 'Config':
    """The config that the arguments of :func:`parser` name, with their overrides, launcher and work
    dir.

    Raises:
        InputError: It cannot be read.
    """
    from pinas_mm.engine.config import load_config, option_values

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = load_config(args.config, option_values(args.cfg_options))
    config.launcher = args.launcher
    config.work_dir = (
        args.work_dir or config.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    )
    return config
