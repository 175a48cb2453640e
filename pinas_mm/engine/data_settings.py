"""What a config leaves to its data: the held-out part, stated once, and the number of classes."""

import copy
import inspect
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from ..datasets.seeded_split import SeededSplit
from ..datasets.wrappers import metainfo
from ..errors import InputError, warn_once
from ..registry import DATASETS as OUR_DATASETS
from ..registry import METRICS, TRANSFORMS, class_of, member_of, with_type_names
from ..schema import shown
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
# Of these, what may read the training set.
LEARNING_KEYS = ('train_dataloader', 'arch_evaluation', 'custom_hooks', 'search_loop')
MODEL_KEYS = ('model', 'data_preprocessor', 'supernet_stage', 'subnet_stage', 'second_stage')

# Where a dataset's config has those that it holds.
WITHIN = ('dataset', 'datasets', 'source', 'target')
# Wrappers of mm that read every image of what they hold.
WHOLE = ('RepeatDataset', 'ClassBalancedDataset', 'MultiImageMixDataset')
# Arguments of datasets that change no choice of images, and those that choose among the images that
# the others name.
SAME_CHOICE = (
    'pipeline',
    'test_mode',
    'bbox_min_size',
    'backend_args',
    'lazy_init',
    'serialize_data',
    'max_refetch',
)
CHOICE = ('filter_cfg', 'indices', 'metainfo')

# mmdet's transform that chooses what an image brings to a metric.
PACK = 'PackDetInputs'

# A dict of a config, after its dotted key.
DictAtKey = tuple[str, dict[str, Any]]


def fill_in_from_data(config: Config) -> None:
    """Fills in what a config leaves to its data.

    - ``held_out``, at the top of a config, becomes the ``held_out`` of every ``SeededSplit`` that
      has none: 0.1, a tenth of the training set, where the config does not say. So one line changes
      the training set, the set that archs are scored on, and all that hooks read. mmengine resolves
      a variable of a base when it reads the base, so a variable could not do it. A config that says
      ``held_out`` and has no ``SeededSplit`` gets them (:func:`split_training_set`). None undoes
      the line of a base: nothing is split, and the validation set stays.
    - ``num_classes=None`` in a model or preprocessor becomes the number of classes of the training
      set. That of a preprocessor stays where the data do not say it.

    Args:
        config: A config, changed in place. Filling it in again changes nothing.

    Raises:
        InputError: Two splits of the same images differ, or something reads all of them, so that
            searches would be scored on images that were learned from; ``held_out`` is stated and no
            split takes it, or the training set cannot be split; or the number of classes is left to
            data that cannot be read or do not say it.
    """
    hold_out(config)
    count_classes(config)


def hold_out(config: Config) -> None:
    """Gives every ``SeededSplit`` its ``held_out``, and compares those of the same images. Splits
    the training set first where nothing else does it."""
    stated = config.get('held_out') is not None
    held_out = config.held_out if stated else HELD_OUT
    share = isinstance(held_out, float) and 0 < held_out < 1
    if not share and (type(held_out) is not int or held_out < 1):
        raise InputError(
            f'held_out={shown(held_out)}: expected a share of the training set between 0 and 1, '
            'such as 0.1, or a number of samples, at the top of the config'
        )
    if stated and not missing_sets(config) and not splits_data(config):
        split_training_set(config)
    found = list(splits(config))
    # A config that was completed before has them all.
    open_or_same = [split for _, split in found if split.get('held_out') in (None, held_out)]
    if stated and found and not open_or_same:
        place, split = found[0]
        raise InputError(
            f'held_out={held_out}: no split of this config takes it: {place} has its own '
            f'held_out={split["held_out"]}; leave that out, or start from the config that this one '
            'was made of'
        )
    for _, split in _dicts(config, ''):
        if _is_split(split, config) and split.get('held_out') is None:
            split['held_out'] = held_out
    compare_splits({'': config})


def compare_splits(configs: Mapping[str, Config]) -> None:
    """Whether every ``SeededSplit`` of the same images holds out the same part, in one config or in
    several that are used one after the other, and nothing in a config learns from all of them. The
    same images are datasets of equal settings, but for pipelines and the spelling of paths.

    Args:
        configs: By the names that a message gives them, such as those of stages; '' for a config
            that needs none. Each has its ``held_out`` filled in.

    Raises:
        InputError: Two differ, or something reads images of a split past it.
    """
    first: dict[Any, DictAtKey] = {}
    for name, config in configs.items():
        _refuse_readers_of_all(config, f'{name}: ' if name else '')
        for at, split in splits(config):
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


def _refuse_readers_of_all(config: Config, prefix: str) -> None:
    """Refuses a dataset that is learned from, or that BN is recalibrated with, and has images that
    a split of the same config holds out."""
    scope = config.get('default_scope')
    split_sets = {
        _named_images(each, scope): place
        for place, split in splits(config)
        for _, each in _plain_within(split, config, past_splits=True)
    }
    for key in LEARNING_KEYS:
        for place, each in _plain_within(config.get(key), config, key) if split_sets else ():
            if (split := split_sets.get(_named_images(each, scope))) is not None:
                raise InputError(
                    f'{prefix}{place} has images that {split} splits, and is not split: it would '
                    f'read what is held out. Expected around it '
                    f"dict(type='pinas_mm.SeededSplit', part='learning', dataset=...)"
                )


def _plain_within(
    value: Any, config: Config, place: str = '', key: str = '', past_splits: bool = False
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The configs of plain datasets in a value, with their dotted keys; those within a
    ``SeededSplit`` only ``past_splits``."""
    if isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _plain_within(each, config, f'{place}.{number}', key, past_splits)
    elif isinstance(value, Mapping) and (past_splits or not _is_split(value, config)):
        if key in WITHIN and not any(
            isinstance(value.get(inner), Mapping | list) for inner in WITHIN
        ):
            yield place, value
        for inner in [*value]:
            where = f'{place}.{inner}' if place else inner
            yield from _plain_within(value[inner], config, where, inner, past_splits)


def _named_images(plain: Mapping[str, Any], scope: str | None) -> str:
    """What tells whether two plain datasets are of the same images, whichever of them they keep."""
    return same_images({key: each for key, each in plain.items() if key not in CHOICE}, scope)


def splits_data(config: Config) -> bool:
    """Whether a config has splits of its own: a ``SeededSplit``, or a dataset with a held-out part
    of its own kind."""
    return any(splits(config)) or bool(_own_parts(config))


def require_split(config: Config) -> None:
    """Whether a ``held_out`` that is stated at the top of a config has something to go to: a
    ``SeededSplit``, or a training set to split.

    Raises:
        InputError: There is none; the message has what holds out in its place.
    """
    own, missing = _own_parts(config), missing_sets(config)
    if any(splits(config)) or not (own or missing):
        return
    raise InputError(
        f'held_out={config.held_out!r}: no SeededSplit of this config takes it; '
        + (
            f'it has {", ".join(own)}'
            if own
            else f'expected a training set to split and a validation set, it has no '
            f'{", ".join(missing)}; held_out=None splits nothing'
        )
    )


def split_training_set(config: Config) -> None:
    """Splits the training set of a config that says ``held_out`` and has no split.

    The learning part goes to ``train_dataloader``, inside wrappers such as ``RepeatDataset``, and
    to hooks and loops that read the same images. The held-out part goes to ``val_dataloader``, as
    it is without those wrappers, with the pipeline that the images of ``val_dataloader`` had.
    mmdet's ``CocoMetric`` then takes the annotations from the images: those of a file of the
    training set would count every image of it. The test set stays. A validation set that is not the
    test set has no reader any more, which is said once.

    Raises:
        InputError: The pipeline, or what the metrics read, cannot be told.
    """
    scope = config.get('default_scope')
    _say_what_is_replaced(config)
    for key in (*LEARNING_KEYS, 'val_evaluator'):
        if key in config:  # mm's configs share dicts with the test set
            config[key] = copy.deepcopy(config[key])
    whole = config.train_dataloader['dataset']
    while isinstance(whole.get('dataset'), Mapping):
        if class_of(whole, OUR_DATASETS, scope).__name__ not in WHOLE:
            raise _cannot_split(
                config, f'{shown(whole.get("type"))} of train_dataloader may leave out images'
            )
        whole = whole['dataset']
    pipelines: list[Any] = []
    for plain in _plain(config.val_dataloader['dataset'], config, 'val_dataloader'):
        if plain['pipeline'] not in pipelines:
            pipelines.append(plain['pipeline'])
    if len(pipelines) != 1:
        raise _cannot_split(config, f'val_dataloader has {len(pipelines)} pipelines, not one')
    scored = copy.deepcopy(whole)
    sets = list(_plain(scored, config, 'train_dataloader'))
    pipeline = _with_annotations(config, copy.deepcopy(pipelines[0]), len(sets))
    for plain in sets:
        plain['pipeline'] = pipeline
        # Boxes below it would be left out of the metric. It changes no choice of images.
        (plain.get('filter_cfg') or {}).pop('bbox_min_size', None)
    images = same_images(whole, scope)
    split = dict(type='pinas_mm.SeededSplit')
    readers = [found for key in LEARNING_KEYS for _, found in _dicts(config.get(key), key)]
    for found in readers:
        data = found.get('dataset')
        if isinstance(data, Mapping) and same_images(data, scope) == images:
            found['dataset'] = ConfigDict(split, part='learning', dataset=data)
    held_out = ConfigDict(split, part='held_out', dataset=scored)
    config.val_dataloader = dict(config.val_dataloader, dataset=held_out)


def _say_what_is_replaced(config: Config) -> None:
    """Warns of a validation set that is not the test set: somebody's own."""
    scope = config.get('default_scope')
    val, test = (
        (config.get(key) or {}).get('dataset') for key in ('val_dataloader', 'test_dataloader')
    )
    if test is None or same_images(val, scope) != same_images(test, scope):
        other = 'there is no test_dataloader' if test is None else 'test_dataloader has others'
        warn_once(
            f'held_out={config.held_out!r}: a part of the training set takes the place of the '
            f'images of val_dataloader, which may be your own ({other}); held_out=None keeps them'
        )


def missing_sets(config: Config) -> list[str]:
    """The loaders without a dataset, of those that a training set can be split for."""
    loaders = {key: config.get(key) for key in ('train_dataloader', 'val_dataloader')}
    return [
        key
        for key, loader in loaders.items()
        if not isinstance(loader, Mapping) or not isinstance(loader.get('dataset'), Mapping)
    ]


def _plain(dataset: Any, config: Config, place: str) -> Iterator[dict[str, Any]]:
    """The plain datasets within the config of a dataset, each with its pipeline."""
    if isinstance(dataset.get('dataset'), Mapping):
        # Split around it, it would mix or repeat the images of both parts.
        raise _cannot_split(config, f'{shown(dataset.get("type"))} of {place} is within another')
    if isinstance(dataset.get('datasets'), list | tuple):
        for each in dataset['datasets']:
            yield from _plain(each, config, place)
    elif 'pipeline' in dataset:
        yield dataset
    else:
        raise _cannot_split(config, f'{shown(dataset.get("type"))} of {place} has no pipeline')


def _with_annotations(
    config: Config, pipeline: list[dict[str, Any]], num_sets: int
) -> list[dict[str, Any]]:
    """A pipeline whose images bring the annotations that ``val_evaluator`` had of a file. The
    training set has ``num_sets`` plain datasets."""
    scope = config.get('default_scope')
    for place, metric in _dicts(config.get('val_evaluator'), 'val_evaluator'):
        # What CityScapesMetric keeps there of one set it takes for that of the next.
        if metric.get('outfile_prefix') is not None:
            metric['outfile_prefix'] += f'_held_out_{config.held_out}'
        kind = member_of(metric, METRICS, scope)
        if kind is None or kind is not member_of('mmdet.CocoMetric', METRICS):
            if metric.get('ann_file') is not None:
                raise _cannot_split(
                    config, f'{place}.ann_file of {metric.get("type")} is of other images'
                )
            continue
        if num_sets > 1:
            raise _cannot_split(
                config,
                f'{place} needs one image per id, but the {num_sets} datasets of train_dataloader '
                'may use the same ids',
            )
        metric['ann_file'] = None
        kind = class_of(f'mmdet.{PACK}', TRANSFORMS)
        pack = next((step for step in pipeline if class_of(step, TRANSFORMS, scope) is kind), None)
        if pack is None:
            raise _cannot_split(config, f'the pipeline of val_dataloader has no {PACK}')
        keys = pack.get('meta_keys', inspect.signature(kind).parameters['meta_keys'].default)
        pack['meta_keys'] = [*(key for key in keys if key != 'instances'), 'instances']
    return pipeline


def _cannot_split(config: Config, reason: str) -> InputError:
    return InputError(
        f'held_out={config.held_out!r}: the training set cannot be split for this config: '
        f"{reason}; expected splits of your own: train_dataloader.dataset=dict(type='pinas_mm."
        f"SeededSplit', part='learning', dataset=...), and with part='held_out' in val_dataloader"
    )


def _own_parts(config: Config) -> list[str]:
    """What holds out a part in another way than ``SeededSplit``: as texts for a message."""
    found = []
    for top in DATA_KEYS:
        for place, settings in _dicts(config.get(top), top):
            kind = f' of {settings["type"]}' if 'type' in settings else ''
            found += [
                (key, f'{place}.{key}={value!r}{kind}')
                for key, value in settings.items()
                if key == 'held_out' or (key in ('split', 'part') and value == 'held_out')
            ]
    # A dataset's own number is what can be changed, where it has one.
    return [text for key, text in found if key == 'held_out'] or [text for _, text in found]


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
            f"classes: expected an attribute `classes` of the dataset, such as ['cat', 'dog'], "
            f'or the number in the config: --cfg-options {options}'
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


def splits(config: Config) -> Iterator[DictAtKey]:
    """Every ``SeededSplit`` of a config that something reads."""
    for key in DATA_KEYS:
        for place, found in _dicts(config.get(key), key):
            if _is_split(found, config):
                yield place, found


def _is_split(found: Mapping[str, Any], config: Config) -> bool:
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
    value = {str(key): each for key, each in value.items() if key not in SAME_CHOICE}
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
