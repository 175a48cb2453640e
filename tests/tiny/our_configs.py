"""The configs below configs/, each read once per process."""

import copy
from functools import cache
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from pinas_mm.engine.data_settings import hold_out, open_numbers

TOP = Path(__file__).parents[2] / 'configs'


def names(*folders):
    """The configs of some folders, or of all: paths below configs/, as text."""
    return sorted(
        path.relative_to(TOP).as_posix()
        for folder in folders or ('.',)
        for path in (TOP / folder).rglob('*.py')
        if '_base_' not in path.relative_to(TOP).parts
    )


@cache
def _read(path):
    config = Config.fromfile(path)
    hold_out(config)
    for _, found in open_numbers(config):
        found['num_classes'] = 10
    return config


def read(name):
    """A copy of a config, complete for data of ten classes, in whose scope what is built next is
    looked for."""
    config = copy.deepcopy(_read(TOP / name))
    init_default_scope(config.default_scope)
    return config


def differences(ours, theirs, key=''):
    """The dotted keys at which two configs differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return {
            found
            for name in ours.keys() | theirs.keys()
            for found in differences(
                ours.get(name), theirs.get(name), f'{key}.{name}' if key else name
            )
        }
    return set() if ours == theirs else {key}


def under(keys, top):
    return {key for key in keys if key == top or key.startswith(f'{top}.')}


def check_each(check, configs):
    """Runs a check on every config, and names all that fail."""
    failures = []
    for name in configs:
        try:
            check(name)
        except Exception as error:
            failures.append(f'{name}: {type(error).__name__}: {error}')
    assert configs and not failures, '\n'.join(failures)
