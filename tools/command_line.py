"""What the tools share: options, the config that they name, exit codes.

A tool builds its options and parses them before it imports pinas_mm, mmengine or torch: these take
seconds to import, and ``--help`` or a mistyped option should answer at once. So this module imports
nothing heavy, and the tools import inside ``main()``, after ``parse_args()``."""

import argparse
import errno
import inspect
import os
import re
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from mmengine.config import Config

# The functions that build objects from configs: all of the first module, and those of the second
# that are called so (a Runner builds loaders and loops without a type by itself).
REGISTRY = 'mmengine.registry.build_functions'
# Characters of an option's value that a message shows.
LONGEST = 60
# Our classes' arguments are checked by a function of this module, which then calls the class.
SCHEMA = 'pinas_mm.schema'
RUNNER, BUILDER = 'mmengine.runner.runner', 'build_'

# What :func:`quiet_terminal` opens, until the tool ends.
TERMINAL = ExitStack()

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
WRITABLE = 'choose a path that you can read and write'
PATH_ERRORS = {
    errno.EACCES: f'permission denied, {WRITABLE}',
    errno.EPERM: f'permission denied, {WRITABLE}',
    errno.EROFS: f'on a read-only file system, {WRITABLE}',
    errno.EEXIST: 'is a file, expected a folder',
    errno.ENOTDIR: 'part of this path is a file, expected a folder',
    errno.EISDIR: 'is a folder, expected a file',
    errno.ENOTEMPTY: 'is a folder that is not empty, expected a new one',
    errno.ENAMETOOLONG: 'a longer name than the file system has, choose a shorter one',
    errno.ELOOP: 'a symbolic link that leads to itself',
}


def run_tool(main: Callable[[], None]) -> None:
    """Runs a tool. Exit codes: 2 and a one-line message for a user error, 130 for Ctrl-C, 143 for
    SIGTERM, 1 and a traceback for any other failure.

    SIGTERM becomes an ordinary exit, so that all that a tool holds is given back: the processes it
    started end, and locks are released.

    After success the process group is ended: gloo's threads may still hold tensors, and abort a
    Python that shuts down around them. After an error it is left, since its end would wait for
    ranks that may be in a collective.

    No checkpoint that the process or its children open can run code, whoever opens it: torch reads
    this variable at every load. Models of mm packages load in their constructors too."""
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    os.environ.pop('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', None)
    before = signal.getsignal(signal.SIGTERM)
    # A thread that is not the main one cannot set it, and gets no signals.
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread:
        signal.signal(signal.SIGTERM, exit_by_signal)
    try:
        # Before what goes wrong is printed.
        with TERMINAL:
            main()
        distributed = sys.modules.get('torch.distributed')
        if distributed is not None and distributed.is_initialized():
            distributed.destroy_process_group()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        message = user_error(error)
        if message is None:
            ranks = sys.modules.get('pinas_mm.lost_ranks')
            lost = ranks and ranks.lost_rank(error)
            if lost is not None:
                raise lost from error
            raise
        print('error: ' + ' '.join(message.split()), file=sys.stderr)
        sys.exit(2)
    finally:
        locks = sys.modules.get('pinas_mm.folder_lock')
        if locks is not None:
            locks.release_all()
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)


def exit_by_signal(number: int, frame: FrameType | None) -> NoReturn:
    """A handler of signals that ends a program with the exit code that a shell would give."""
    sys.exit(128 + number)


def user_error(error: Exception) -> str | None:
    """One line that says what the user can correct; None for any other failure."""
    errors = sys.modules.get('pinas_mm.errors')  # not imported: nothing of it was raised
    if errors is not None and isinstance(error, errors.InputError):
        return worker_message(error)
    if isinstance(error, FileNotFoundError):
        return f'no such file: {error.filename or worker_message(error)}'
    if isinstance(error, OSError):
        return path_error(error)
    checkpoint = sys.modules.get('pinas_mm.checkpoint')
    return (checkpoint and checkpoint.loading_error(error)) or config_error(error)


def path_error(error: OSError) -> str | None:
    """One line for a path that cannot be read or written as it was asked to; None for any other
    error of the operating system."""
    # From the text: mmengine and workers of a DataLoader raise the error again with nothing else.
    text = worker_message(error).strip()
    found = re.search(r"\[Errno (\d+)\] .*?(?:: (?:.* -> )?(['\"])(.*)\2)?$", text, re.DOTALL)
    if not found:
        return None
    number, path = int(found[1]), found[3]
    if number in FULL:
        return f'the disk is full, what was written before is kept: {text}'
    if path is None or number not in PATH_ERRORS:
        return None
    # What the user named is written to another file first.
    return re.sub(r'\.\d+\.pinas_mm\.part$', '', path) + f': {PATH_ERRORS[number]}'


def worker_message(error: Exception) -> str:
    """The message of an error. Where a worker of a DataLoader met it, torch has put the worker's
    traceback before it."""
    text = str(error)
    if not text.startswith(f'Caught {type(error).__name__} in DataLoader worker'):
        return text
    return text.rpartition(f'{type(error).__name__}: ')[2]


def config_error(error: Exception) -> str | None:
    """One line for what mmengine's registry refuses as it builds an object from a config: an
    unknown type, or keys that are not arguments of the class.

    The wording alone does not tell: a bug anywhere may read the same. The traceback does. Its last
    frame is the registry's own call of the class; or the class took the key as one of its
    ``**kwargs`` and passed it on to one that does not know it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    calls = [i for i, frame in enumerate(frames) if builds(frame)]
    if not calls:
        return None
    built = frames[calls[-1]]
    within = [
        frame for frame in frames[calls[-1] + 1 :] if frame.f_globals.get('__name__') != SCHEMA
    ]
    if isinstance(error, KeyError) and not within and ' registry. Please check' in str(error):
        return f'unknown type in the config: {error}'
    if not isinstance(error, TypeError):
        return None
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    missing = re.search(r'missing \d+ required', str(error))
    if (missing and not within) or (
        unexpected and all(unexpected[1] in keywords(frame) for frame in within)
    ):
        cls = built.f_locals.get('obj_cls', built.f_locals.get('scheduler_cls'))
        of_class = f' of {cls.__name__}' if isinstance(cls, type) else ''
        return f'wrong config key{of_class}: {error}'
    return None


def builds(frame: FrameType) -> bool:
    """Whether a function of mmengine that builds an object from a config runs in a frame."""
    module = frame.f_globals.get('__name__')
    return module == REGISTRY or (module == RUNNER and frame.f_code.co_name.startswith(BUILDER))


def keywords(frame: FrameType) -> dict[str, Any]:
    """What a function that takes ``**kwargs`` was given as these."""
    arguments = inspect.getargvalues(frame)
    return arguments.locals.get(arguments.keywords, {})


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
    add_verbose(result)
    result.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return result


def add_verbose(options: argparse.ArgumentParser) -> None:
    """Adds ``--verbose``; the tool then calls :func:`quiet_terminal`,
    before it imports what it needs: mm's packages print as they are imported."""
    options.add_argument(
        '--verbose',
        action='store_true',
        help='show all that the log file has: environment, config, every step',
    )


def quiet_terminal(args: argparse.Namespace) -> None:
    """Keeps what mm packages log out of the terminal until the tool ends, without ``--verbose``
    (:func:`pinas_mm.console.quiet_terminal`)."""
    from pinas_mm import console

    TERMINAL.enter_context(console.quiet_terminal(args.verbose))


def say_what_is_next(written: str, *steps: tuple[str, Sequence[object]]) -> None:
    """Ends a tool: says what it wrote and what to do next.

    Args:
        written: What was written.
        steps: For each possible next step what it does, and its command: the name of a tool and
            its arguments.
    """
    from pinas_mm.console import say

    say(written)
    for purpose, (tool, *words) in steps:
        path = Path(__file__).with_name(f'{tool}.py')
        # An installed wheel has the tools below `.mim`.
        installed = '.mim' in path.parts
        start = ['python', '-m', 'pinas_mm', tool] if installed else ['python', shown_path(path)]
        say(f'next, {purpose}:')
        # No longer line is broken: it is to be copied whole.
        say(broken_command([*start, *map(shown_path, words)]))


def shown_path(word: object) -> str:
    """A word of a command; a path below the working directory begins there."""
    text = os.fspath(word) if isinstance(word, os.PathLike) else str(word)
    below = Path(text).is_absolute() and Path(text).is_relative_to(Path.cwd())
    return os.path.relpath(text) if below else text


def broken_command(words: Sequence[str], width: int = 100) -> str:
    """A command for a shell, in lines of at most ``width`` columns where its words allow that."""
    lines, indent = [''], '    '
    for word in map(shlex.quote, words):
        line = f'{lines[-1]} {word}' if lines[-1] else f'{indent}{word}'
        if len(line) > width - 2 and lines[-1]:
            lines[-1] += ' \\'
            line = f'{indent}{indent}{word}'
            lines.append('')
        lines[-1] = line
    return '\n'.join(lines)


def add_data_check(options: argparse.ArgumentParser) -> None:
    """Adds ``--check-data``; the tool then calls
    :func:`pinas_mm.engine.data_check.check_data`."""
    options.add_argument(
        '--check-data',
        action='store_true',
        help='first read every image of the config once, and stop if one cannot be read',
    )


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


def whole_number(least: int, most: int = 2**53) -> Callable[[str], int]:
    """The type of an option, for :meth:`argparse.ArgumentParser.add_argument`: a whole number in a
    range."""

    def read(text: str) -> int:
        # 20 digits are above any `most`, and Python reads no more than 4,300.
        if re.fullmatch(r'[0-9]{1,20}', text) and least <= int(text) <= most:
            return int(text)
        shown = text if len(text) <= LONGEST else f'{text[:LONGEST]}...'
        upper = f' and at most {most}' if most < 2**53 else ''
        raise argparse.ArgumentTypeError(
            f'{shown!r}, expected a whole number of at least {least}{upper}'
        )

    return read


# NumPy takes no more.
seed = whole_number(0, 2**32 - 1)


def check_files(*paths: str | os.PathLike[str] | None) -> None:
    """Whether files are there, before anything is built or written. One that is at a URL is seen
    when it is read.

    Raises:
        InputError: One is missing, or a folder.
    """
    from pinas_mm.errors import InputError

    for path in paths:
        if path is None or '://' in str(path) or Path(path).is_file():
            continue
        what = 'a folder, expected a file' if Path(path).is_dir() else 'no such file'
        raise InputError(f'{path}: {what}')


def read_config(args: argparse.Namespace) -> 'Config':
    """The config that the arguments of :func:`parser` name, with their overrides, launcher and work
    dir.

    Raises:
        InputError: It cannot be read.
    """
    from pinas_mm.engine.config import load_config, option_values
    from pinas_mm.engine.settings_check import check_launcher

    check_launcher(args.launcher)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = load_config(args.config, option_values(args.cfg_options))
    config.launcher = args.launcher
    config.work_dir = (
        args.work_dir or config.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    )
    return config


def hold_work_dir(config: 'Config') -> None:
    """Starts the ranks of a config, and takes the lock of its work dir until the tool ends: before
    anything in it is read.

    Raises:
        InputError: Another process writes it (:func:`pinas_mm.folder_lock.hold`).
    """
    from pinas_mm.engine.runner import init_ranks
    from pinas_mm.folder_lock import hold

    init_ranks(config)
    hold(config.work_dir)


def hold_file(path: str | os.PathLike[str]) -> None:
    """Takes the lock of a file that a tool writes. To be called by every rank.

    Raises:
        InputError: It is a folder, or another process writes it
            (:func:`pinas_mm.folder_lock.hold`).
    """
    from pinas_mm.errors import InputError
    from pinas_mm.folder_lock import hold

    path = Path(path)
    if path.is_dir():
        raise InputError(f'{path}: {PATH_ERRORS[errno.EISDIR]}')
    hold(path.parent, path.name)
