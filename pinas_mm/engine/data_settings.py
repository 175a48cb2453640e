"""What a config leaves to its data: the held-out part, stated once, and the number of classes."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..datasets.seeded_split import SeededSplit
from ..datasets.wrappers import metainfo
from ..errors import InputError
from ..registry import DATASETS as OUR_DATASETS
from ..registry import member_of, with_type_names
from .loaders import built_dataset

# The share of the training set that a config holds out where it does not say.
HELD_OUT = 0.1
# Where a config's datasets and models are that something reads. Other keys at its top are variables
# of the config file, whose values are copied into these.
DATA_KEYS = (
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'arch_evaluation',
    'custom_hooks',
    'search_loop',
)
MODEL_KEYS = ('model', 'data_preprocessor', 'supernet_stage', 'subnet_stage', 'second_stage')

# A dict of a config, after its dotted key.
DictAtKey = tuple[str, dict[str, Any]]


def fill_in_from_data(config: Config) -> None:
    """Fills in what a config leaves to its data.

    - ``held_out``, at the top of a config, becomes the ``held_out`` of every ``SeededSplit`` that
      has none: 0.1, a tenth of the training set, where the config does not say. So one line changes
      the training set, the set that archs are scored on, and all that hooks read. mmengine resolves
      a variable of a base when it reads the base, so a variable could not do it.
    - ``num_classes=None`` in a model or preprocessor becomes the number of classes of the training
      set. That of a preprocessor stays where the data do not say it.

    Args:
        config: A config, changed in place. Filling it in again changes nothing.

    Raises:
        InputError: Two splits of the same images differ, so that searches would be scored on images
            that were learned from; ``held_out`` is stated and no split takes it; or the number of
            classes is left to data that cannot be read or do not say it.
    """
    hold_out(config)
    count_classes(config)


def hold_out(config: Config) -> None:
    """Gives every ``SeededSplit`` its ``held_out``, and compares those of the same images."""
    splits = list(_splits(config))
    held_out = config.get('held_out', HELD_OUT)
    # A config that was completed before has them all.
    open_or_same = [split for _, split in splits if split.get('held_out', held_out) == held_out]
    if 'held_out' in config and splits and not open_or_same:
        place, split = splits[0]
        raise InputError(
            f'held_out={held_out}: no split of this config takes it: {place} has its own '
            f'held_out={split["held_out"]}; leave that out'
        )
    for _, split in _dicts(config, ''):
        if _is_split(split, config):
            split.setdefault('held_out', held_out)
    compare_splits({'': config})


def compare_splits(configs: Mapping[str, Config]) -> None:
    """Whether every ``SeededSplit`` of the same images holds out the same part, in one config or in
    several that are used one after the other. The same images are datasets of equal settings, but
    for pipelines and the spelling of paths.

    Args:
        configs: By the names that a message gives them, such as those of stages; '' for a config
            that needs none. Each has its ``held_out`` filled in.

    Raises:
        InputError: Two differ.
    """
    first: dict[Any, DictAtKey] = {}
    for name, config in configs.items():
        for at, split in _splits(config):
            place = f'{name}: {at}' if name else at
            images = same_images(split['dataset'], config.get('default_scope'))
            other, known = first.setdefault(images, (place, split))
            for key, default in dict(held_out=None, seed=0, group=None).items():
                if split.get(key, default) != known.get(key, default):
                    once = ', stated once: held_out=... of '
                    once += 'the config' if len(configs) == 1 else 'all configs'
                    raise InputError(
                        f'{place}.{key}={split.get(key, default)!r}, but {other}.{key}='
                        f'{known.get(key, default)!r} of the same images: what is held out in one '
                        'would be learned from in the other. Expected the same'
                        + (once if key == 'held_out' else '')
                    )


def require_split(config: Config) -> None:
    """Whether a ``held_out`` that is stated at the top of a config has a ``SeededSplit`` to go to.

    Raises:
        InputError: There is none; the message has what holds out in its place.
    """
    if any(_splits(config)):
        return
    found = [
        (key, f'{place}.{key}={value!r} of {settings.get("type")}')
        for top in DATA_KEYS
        for place, settings in _dicts(config.get(top), top)
        for key, value in settings.items()
        if key == 'held_out' or (isinstance(value, str) and value == 'held_out')
    ]
    # A dataset's own number is what can be changed, where it has one.
    own = [text for key, text in found if key == 'held_out'] or [text for _, text in found]
    raise InputError(
        f'held_out={config.held_out!r}: no SeededSplit of this config takes it; '
        + (
            f'it has {", ".join(own)}'
            if own
            else "expected a training set dict(type='pinas_mm.SeededSplit', part='learning', "
            'dataset=...)'
        )
    )


def count_classes(config: Config) -> None:
    """Puts the number of classes of the training set where a config leaves it open. Where the data
    do not say it, a preprocessor goes without."""
    places = list(open_numbers(config))
    if not places:
        return
    # Only what is built with it has no use for None, which is mm's default in a preprocessor.
    needed = [place for place, _ in places if 'data_preprocessor' not in place.split('.')]
    name = f'{needed[0]}.num_classes' if needed else None
    options = ' '.join(f'{place}.num_classes=12' for place, _ in places)
    key = next(
        (
            f'{part}_dataloader'
            for part in ('train', 'val', 'test')
            if config.get(f'{part}_dataloader')
        ),
        None,
    )
    if key is None and name is None:
        return
    if key is None:
        raise InputError(
            f'{name} is left to the data, but the config has none: --cfg-options {options}'
        )
    with DefaultScope.overwrite_default_scope(config.get('default_scope')):
        dataset = built_dataset(config[key].dataset)
    classes = metainfo(dataset).get('classes')
    if classes is None and name is None:
        return
    if classes is None:
        raise InputError(
            f'{name} is left to the data, but {type(dataset).__name__} of {key} does not say its '
            f'classes: --cfg-options {options}'
        )
    for _, found in places:
        found['num_classes'] = len(classes)


def open_numbers(config: Config) -> Iterator[DictAtKey]:
    """Where a config leaves the number of classes to its data: dicts with ``num_classes=None``, and
    the dotted key of each."""
    for key in MODEL_KEYS:
        for place, found in _dicts(config.get(key), key):
            if 'num_classes' in found and found['num_classes'] is None:
                yield place, found


def dataset_configs(config: Config) -> Iterator[DictAtKey]:
    """The config of every dataset that a config reads, of all its dataloaders, hooks' and loops'
    too, after the dotted key of its loader; each once."""
    seen = []
    for key in DATA_KEYS:
        for place, found in _dicts(config.get(key), key):
            dataset = found.get('dataset')
            # A loader has them both; a wrapper such as SeededSplit has a dataset alone.
            if 'batch_size' in found and dataset is not None and dataset not in seen:
                seen.append(dataset)
                yield place, dataset


def _splits(config: Config) -> Iterator[DictAtKey]:
    """Every ``SeededSplit`` of a config that something reads."""
    for key in DATA_KEYS:
        for place, found in _dicts(config.get(key), key):
            if _is_split(found, config):
                yield place, found


def _is_split(found: dict[str, Any], config: Config) -> bool:
    return member_of(found, OUR_DATASETS, config.get('default_scope')) is SeededSplit


def same_images(dataset: Any, scope: str | None) -> str:
    """What tells whether two splits are of the same images: a dataset's settings without its
    pipelines, however its paths and types are spelled."""
    return json.dumps(with_type_names(_with_whole_paths(dataset), scope), sort_keys=True)


def _with_whole_paths(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_with_whole_paths(each) for each in value]
    if not isinstance(value, Mapping):
        return (
            value if isinstance(value, str | int | float | None) or callable(value) else repr(value)
        )
    value = {str(key): each for key, each in value.items() if key not in ('pipeline', 'test_mode')}
    root = os.path.expanduser(value.pop('data_root', None) or '')
    prefix = value.pop('data_prefix', None) or ''
    paths = dict(prefix) if isinstance(prefix, Mapping) else dict(img_path=prefix)
    if value.get('ann_file'):
        paths['ann_file'] = value['ann_file']
    for key, path in paths.items():
        if isinstance(path, str | os.PathLike):  # joined as mmengine does
            paths[key] = os.path.realpath(os.path.join(root, os.path.expanduser(path)))
    return {key: _with_whole_paths(each) for key, each in (value | paths).items()}


def _dicts(value: Any, place: str) -> Iterator[DictAtKey]:
    """Every dict in a value, with its dotted key."""
    if isinstance(value, Config | dict):
        if isinstance(value, dict):
            yield place, value
        for key in list(value.keys()):
            yield from _dicts(value[key], f'{place}.{key}' if place else key)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _dicts(each, f'{place}.{number}')
