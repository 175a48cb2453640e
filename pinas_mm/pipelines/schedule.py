"""Schedules of another length."""

import copy
import math

from mmengine.config import Config

# Keys of mmengine's schedulers that count epochs or iterations.
COUNTS = (
    'begin',
    'end',
    'T_max',
    'step_size',
    'total_steps',
    'total_iters',
    'milestones',
    'periods',
)


def lengthened(config: Config, factor: float) -> Config:
    """The config with a training ``factor`` times as long, its learning rate schedule and warm-up
    lengthened alike.

    Hooks that count epochs or iterations of their own keep their numbers.

    Args:
        config: A training config.
        factor: Above 0. The length is rounded up.
    """
    config = copy.deepcopy(config)
    length = 'max_epochs' if config.train_cfg.get('max_epochs') is not None else 'max_iters'
    before = config.train_cfg[length]
    config.train_cfg[length] = math.ceil(before * factor)
    factor = config.train_cfg[length] / before
    schedulers = config.get('param_scheduler') or []
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        for key in COUNTS:
            value = scheduler.get(key)
            if isinstance(value, int | float):
                # A part of the schedule that had a length keeps one: mmengine refuses an empty one.
                scheduler[key] = max(int(value > 0), round(value * factor))
            elif value is not None:
                scheduler[key] = [max(1, round(entry * factor)) for entry in value]
        if scheduler.get('end') is not None and scheduler['end'] <= scheduler.get('begin', 0):
            scheduler['end'] = scheduler.get('begin', 0) + 1
    return config
