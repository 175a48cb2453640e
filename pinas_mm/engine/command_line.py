"""What the tools share: options, config, safe checkpoints, exit codes."""

import argparse
import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config, DictAction

from ..compat import SUPPORTED, require
from ..errors import InputError
from ..models.channels import check_channels
from .safe_runner import SafeRunner


def run_tool(main: Callable[[], None]) -> None:
    """Runs a tool: exit code 2 and one line for what the user can mend, 130 for Ctrl-C, 1 and the
    traceback for all else.

    A process group is ended with the tool: gloo's threads may still hold tensors, and abort a
    Python that shuts down around them. After an error it is left, since ending it waits for ranks
    that may be in a collective."""
    try:
        main()
        if dist.is_initialized():
            dist.destroy_process_group()
    except InputError as error:
        print('error: ' + ' '.join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except FileNotFoundError as error:
        print(f'error: no such file: {error.filename or error}', file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f'error: the disk is full, what was written before is kept: {error}', file=sys.stderr)
        sys.exit(2)
    except TypeError as error:
        # mmengine's registries raise this for a key of a config that is no argument of the class it
        # names.
        if not re.search(r'unexpected keyword argument|missing \d+ required', str(error)):
            raise
        print(f'error: wrong config key: {error}', file=sys.stderr)
        sys.exit(2)
    except KeyError as error:
        if ' registry. Please check' not in str(error):
            raise
        print(f'error: unknown type in the config: {error}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with what every config-driven tool takes, as in the mm packages' own
    tools."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument('config', help='config file')
    result.add_argument(
        '--work-dir', help='where logs and results go (default: work_dirs/<config name>)'
    )
    result.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeyValues,
        help='overrides, such as train_cfg.max_epochs=10',
    )
    result.add_argument(
        '--launcher',
        choices=('none', 'pytorch', 'slurm', 'mpi'),
        default='none',
        help='job launcher',
    )
    result.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return result


class KeyValues(DictAction):
    """mmengine's action for ``key=value`` options; anything else is an error of the command line,
    not a traceback."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: list[str],
        *args: Any,
    ) -> None:
        wrong = [value for value in values if '=' not in value]
        if wrong:
            raise argparse.ArgumentError(self, f'{wrong[0]!r}, expected key=value')
        super().__call__(parser, namespace, values, *args)


def non_negative(text: str) -> int:
    """The type of an option such as ``--seed``, for
    :meth:`argparse.ArgumentParser.add_argument`."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r}, expected a whole number of at least 0')
    return int(text)


def read_config(args: argparse.Namespace) -> Config:
    """The config with the command line's overrides and a work dir.

    Raises:
        InputError: It cannot be read.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = load_config(args.config, args.cfg_options or {})
    config.launcher = args.launcher
    config.work_dir = (
        args.work_dir or config.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    )
    return config


def load_config(path: str | os.PathLike, overrides: dict[str, Any]) -> Config:
    """A config file with overrides.

    Raises:
        InputError: It cannot be read.
    """
    if not Path(path).is_file():
        raise InputError(f'{path}: no such config file')
    try:
        config = Config.fromfile(path)
        config.merge_from_dict(overrides)
        if config.get('default_scope') in SUPPORTED:
            require(config.default_scope, f'default_scope={config.default_scope!r}')
    except (
        Exception
    ) as error:  # a config is the user's own code: whatever it raises, the user can mend
        raise InputError(f'{path}: {type(error).__name__}: {error}') from error
    return config


def use_amp(config: Config) -> None:
    """Makes the optimiser wrapper of a config the mixed-precision form of the same."""
    forms = {
        f'pinas_mm.{name}OptimWrapper': f'pinas_mm.{name}AmpOptimWrapper'
        for name in ('DSNAS', 'SubnetAware')
    }
    wrapper = config.optim_wrapper
    if wrapper.get('type') not in forms.values():
        wrapper.type = forms.get(wrapper.get('type'), 'AmpOptimWrapper')
    wrapper.setdefault('loss_scale', 'dynamic')


def build_runner(config: Config) -> SafeRunner:
    """The runner of a config.

    Its model is in channels-last layout where there is no GPU, unless it has operators of mmcv: on
    CPUs those read every input as if it were contiguous (RoIAlign of a channels-last map is
    silently wrong). ``channels_last = False`` (or True) in a config decides.

    Raises:
        InputError: A neck or head does not take the backbone's channels, or channels-last is asked
            for with operators of mmcv on a CPU.
    """
    runner = SafeRunner.from_cfg(config)
    check_channels(runner.model)
    on_gpu = torch.cuda.is_available()
    operators = sorted(
        {
            type(module).__name__
            for module in runner.model.modules()
            if type(module).__module__.startswith('mmcv.ops')
        }
    )
    if config.get('channels_last', not on_gpu and not operators):
        if operators and not on_gpu:
            raise InputError(
                f"channels_last=True: on a CPU mmcv's {', '.join(operators)} would read such "
                f'inputs as contiguous ones; leave '
                'it out'
            )
        # Depthwise and grouped convolutions are 1.3 to 2.2 times as fast this way (docs/cpu.md);
        # outputs follow the weights' layout.
        runner.model.to(memory_format=torch.channels_last)
    return runner
