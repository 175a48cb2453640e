"""The configs below configs/, each read once per process."""

import copy
from functools import cache
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

TOP = Path(__file__).parents[2] / 'configs'


def names(*folders):
    """The configs of some folders, or of all: paths below configs/, as text."""
    return sorted(
        path.relative_to(TOP).as_posix()
        for folder in folders or ('.',)
        for path in (TOP / folder).rglob('*.py')
        if '_base_' not in path.relative_to(TOP).parts
    )


_read = cache(Config.fromfile)


def read(name):
    """A copy of a config, in whose scope what is built next is looked for."""
    config = copy.deepcopy(_read(TOP / name))
    init_default_scope(config.default_scope)
    return config


def check_each(check, configs):
    """Runs a check on every config, and names all that fail."""
    failures = []
    for name in configs:
        try:
            check(name)
        except Exception as error:
            failures.append(f'{name}: {type(error).__name__}: {error}')
    assert configs and not failures, '\n'.join(failures)
