"""Configs as the tools read them: a file, overrides, mixed precision."""

import argparse
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper as GPUAmpOptimWrapper
from mmengine.optim import OptimWrapper

from ..compat import SUPPORTED, config_path, require
from ..errors import InputError, warn_once
from ..private_api import base_files
from ..registry import OPTIM_WRAPPERS, class_of
from ..searching.searchers import searcher_name, unknown_arguments
from ..strategies import AmpOptimWrapper, DSNASOptimWrapper
from ..strategies.amp import require_mixed_precision
from ..strategies.subnet_aware import SubnetAwareOptimWrapper
from .data_settings import fill_in_from_data, require_split, splits, splits_data
from .settings_check import check_settings

# The mixed-precision form of each optimiser wrapper.
AMP_FORMS = {
    OptimWrapper: 'pinas_mm.AmpOptimWrapper',
    GPUAmpOptimWrapper: 'pinas_mm.AmpOptimWrapper',
    DSNASOptimWrapper: 'pinas_mm.DSNASAmpOptimWrapper',
    SubnetAwareOptimWrapper: 'pinas_mm.SubnetAwareAmpOptimWrapper',
}
# How a file of each format states ``held_out`` at its top.
STATED = {
    '.py': r'^held_out\b[^=\n]*=(?!=)',
    '.json': r'^\s*"held_out"\s*:',
    '.yaml': r'^["\']?held_out["\']?\s*:',
}


def load_config(path: str | os.PathLike, overrides: Mapping[str, Any]) -> Config:
    """A config file with overrides, and with what it leaves to its data: :func:`read_config_file`
    and then :func:`complete_config`."""
    config = read_config_file(path, overrides)
    complete_config(config, overrides)
    return config


def read_config_file(path: str | os.PathLike, overrides: Mapping[str, Any]) -> Config:
    """A config file with overrides.

    A searcher whose type alone is changed keeps none of the arguments of the one it replaces
    (:func:`drop_inherited`).

    Args:
        path: The file, or the name of one inside an mm package or this one, such as
            ``'pinas_mm::pinas/pinas_resnest50-search_in1k.py'``.
        overrides: Values by dotted key, such as ``{'train_cfg.max_epochs': 10}``.

    Raises:
        InputError: It cannot be read.
    """
    if '::' in str(path):
        try:
            path = config_path(str(path))
        except (FileNotFoundError, ImportError) as error:
            raise InputError(str(error)) from error
    if not Path(path).is_file():
        raise InputError(f'{path}: no such config file')
    try:
        config = Config.fromfile(path)
        check_indices(config, overrides)
        config.merge_from_dict(dict(overrides))
        drop_inherited(config, overrides)
        if config.get('default_scope') in SUPPORTED:
            require(config.default_scope, f'default_scope={config.default_scope!r}')
    except InputError as error:
        raise InputError(f'{path}: {error}') from error
    # A config is the user's own code: whatever it raises, the user can correct.
    except Exception as error:
        raise InputError(f'{path}: {type(error).__name__}: {error}') from error
    return config


def complete_config(config: Config, overrides: Mapping[str, Any]) -> None:
    """Checks a config and fills in what it leaves to its data (:func:`fill_in_from_data`).

    Args:
        config: As :func:`read_config_file` gives it, or of a program; changed in place.
        overrides: What was merged into the file's own config.

    Raises:
        InputError: A setting does not fit (:func:`check_settings`), ``held_out`` is stated and
            nothing takes it, or what :func:`fill_in_from_data` raises.
    """
    check_settings(config)
    if config.get('held_out') is not None:
        if config.filename and _is_of_other_data(config, overrides):
            config.pop('held_out')
        else:
            require_split(config)
    fill_in_from_data(config)


def check_indices(config: Config, overrides: Mapping[str, Any]) -> None:
    """Refuses overrides that go into a list by anything but the index of an entry, for which
    mmengine's errors name no key.

    Raises:
        InputError: There is one.
    """
    for key in overrides:
        node, parts = config, key.split('.')
        for depth, part in enumerate(parts):
            if isinstance(node, dict | Config):
                node = node.get(part)
            elif isinstance(node, list | tuple):
                if not part.isdecimal() or int(part) >= len(node):
                    before = '.'.join(parts[:depth])
                    rest = '.'.join([before, '0', *parts[depth + part.isdecimal() :]])
                    raise InputError(
                        f'{key}: {before} is a list of {len(node)}, expected the index of an entry '
                        f'after it, such as {rest}'
                    )
                node = node[int(part)]
            else:
                break


def drop_inherited(config: Config, overrides: Mapping[str, Any]) -> None:
    """Takes out the arguments of ``search_loop.searcher`` that were written for a searcher of
    another type, and says so.

    mmengine merges dicts, so a config that changes the type alone keeps the arguments of its base.
    Only what the new type does not know and what a base, or the file below ``overrides``, has with
    the same value for another type is taken out: what the user wrote stays, and is an error if it
    is wrong.

    Args:
        config: A config file's, with overrides; changed in place.
        overrides: What was merged into the file's own config.
    """
    searcher = _searcher(config)
    unknown = unknown_arguments(searcher)
    if not unknown:
        return
    written = [Config.fromfile(config.filename)] if overrides else []
    written += [Config.fromfile(path) for path in _bases(config.filename)]
    dropped: dict[str, tuple[Any, Any]] = {}
    for before in written:
        theirs = _searcher(before)
        if 'type' in theirs and searcher_name(theirs['type']) != searcher_name(searcher['type']):
            dropped |= {
                key: (value, theirs['type'])
                for key, value in theirs.items()
                if key in unknown and searcher[key] == value
            }
    for key in dropped:
        del searcher[key]
    if dropped:
        warn_once(
            f'search_loop.searcher is of type {searcher["type"]!r} and does not take over '
            + ', '.join(f'{key}={value!r} of {kind!r}' for key, (value, kind) in dropped.items())
        )


def _searcher(config: Config) -> dict[str, Any]:
    """``search_loop.searcher`` of a config; empty where it has none, or something else."""
    loop = config.get('search_loop')
    searcher = loop.get('searcher') if isinstance(loop, Mapping) else None
    return searcher if isinstance(searcher, dict) else {}


def _is_of_other_data(config: Config, overrides: Mapping[str, Any]) -> bool:
    """Whether a base states ``held_out`` for its own splits, and the config has other data.

    A base without splits states it for all configs that inherit it."""
    if 'held_out' in overrides or any(splits(config)):
        return False
    files = chain([config.filename], _bases(config.filename))
    stating = next(filter(_states_held_out, files), config.filename)
    if stating == config.filename:
        return False
    return splits_data(config) or splits_data(Config.fromfile(stating))


def _states_held_out(path: str) -> bool:
    """Whether a config file itself gives ``held_out`` a value, rather than one of its bases. As
    text, since mmengine fills in what no reader of the format can read, such as ``{{ _base_.x }}``.
    """
    text = Path(path).read_text(encoding='utf-8')
    return re.search(STATED.get(Path(path).suffix, STATED['.yaml']), text, re.MULTILINE) is not None


def _bases(path: str) -> Iterator[str]:
    for base in base_files(path):
        yield base
        yield from _bases(base)


def option_values(options: Sequence[str]) -> dict[str, Any]:
    """Options of the form ``key=value`` as a dict, the values converted as mmengine's
    ``DictAction`` does: ``['a.b=2', 'c=3,4']`` is ``{'a.b': 2, 'c': [3, 4]}``.

    Raises:
        InputError: Brackets of a value do not match.
    """
    found = argparse.Namespace()
    try:
        DictAction([], 'values')(argparse.ArgumentParser(), found, list(options))
    except AssertionError as error:  # brackets that do not match
        raise InputError(f'{" ".join(options)}: {error}') from error
    return found.values


def use_auto_scale_lr(config: Config) -> None:
    """Lets mmengine scale the learning rate to the actual total batch size.

    Raises:
        InputError: The config does not say for which batch size its learning rate is.
    """
    scaling = config.get('auto_scale_lr') or {}
    base = scaling.get('base_batch_size')
    if isinstance(base, bool) or not isinstance(base, int) or base < 1:
        raise InputError(
            f'--auto-scale-lr: {config.filename or "config"} has '
            f'auto_scale_lr.base_batch_size={base!r}: expected '
            'auto_scale_lr=dict(base_batch_size=256), the total batch size that its learning rate '
            'is for'
        )
    config.auto_scale_lr.enable = True


def use_amp(config: Config) -> None:
    """Makes the optimiser wrapper of a config the mixed-precision form of the same.

    Raises:
        InputError: There is no wrapper, its form is not known, or see
            :func:`~pinas_mm.strategies.amp.require_mixed_precision`.
    """
    require_mixed_precision()
    wrapper = config.get('optim_wrapper')
    if not wrapper:
        raise InputError(
            f'--amp: {config.filename or "config"} has no optim_wrapper: expected a config that '
            f'trains'
        )
    # mmengine's scope where the config names none, as the runner has it: our scope has an
    # AmpOptimWrapper too.
    scope = config.get('default_scope', 'mmengine')
    kind = class_of(wrapper.get('type', 'OptimWrapper'), OPTIM_WRAPPERS, scope)
    form = AMP_FORMS.get(kind)
    if form is not None:
        wrapper.type = form
    # A form of the user's own; mmengine's wrapper refuses a CPU.
    elif not issubclass(kind, AmpOptimWrapper if get_device() == 'cpu' else GPUAmpOptimWrapper):
        raise InputError(
            f'--amp: optim_wrapper of type {wrapper.type!r}: its form for mixed precision is not '
            f'known; expected {" or ".join(cls.__name__ for cls in AMP_FORMS)}, or a subclass of '
            f'pinas_mm.AmpOptimWrapper'
        )
    wrapper.setdefault('loss_scale', 'dynamic')
