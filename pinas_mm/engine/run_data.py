"""What the data of a run are, so that a resumed run reads the same."""

import os
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..datasets.fingerprint import fingerprint
from .data_settings import dataset_configs, same_images
from .loaders import built_dataset

# In place of the folder of a dataset, in settings that are compared.
ROOT = '<data_root>'


def data_of(config: Config) -> dict[str, Any]:
    """The fingerprint of every dataset that a config reads, by its dotted key, such as
    ``{'train_dataloader': {'samples': 50000, 'contents': '9c0f…'}}``.

    Left out are streams, and what cannot be built: a run that reads it says so itself, and one that
    is done may have lost its data.
    """
    known: dict[str, dict[str, Any] | None] = {}  # by settings: many are the same images
    places = {}
    for place, dataset_config in dataset_configs(config):
        images = same_images(dataset_config, config.get('default_scope'))
        if images not in known:
            with DefaultScope.overwrite_default_scope(config.get('default_scope')):
                try:
                    known[images] = fingerprint(built_dataset(dataset_config))
                except Exception:
                    known[images] = None
        places[place] = known[images]
    return {place: found for place, found in places.items() if found is not None}


def without_roots(settings: Any, config: Config) -> Any:
    """Settings without where the data are: a text that begins with the ``data_root`` of a dataset,
    such as the annotation file of a metric, has ``<data_root>`` in its place. So a run whose data
    were moved resumes; that they are the same, fingerprints tell.

    Args:
        settings: Settings of ``config``, not changed.
        config: The config.
    """
    roots = {root for _, found in dataset_configs(config) for root in _roots(found)}
    return _replaced(settings, sorted((root.rstrip('/') for root in roots), key=len, reverse=True))


def _roots(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        own = value.get('data_root')
        inner = set().union(*map(_roots, value.values())) if value else set()
        return inner | ({own} if isinstance(own, str) and own.strip('/.') else set())
    if isinstance(value, list | tuple):
        return set().union(*map(_roots, value)) if value else set()
    return set()


def _replaced(value: Any, roots: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _replaced(each, roots) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(each, roots) for each in value]
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        for root in roots:
            if isinstance(text, str) and (text == root or text.startswith(f'{root}/')):
                return ROOT + text[len(root) :].rstrip('/')
    return value
