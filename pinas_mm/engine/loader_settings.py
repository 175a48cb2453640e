"""Whether the loaders of a config can be built, before anything runs: torch refuses most wrong
settings only when a loader is first needed, which may be after hours of training."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from mmengine.config import Config
from torch.utils.data import DataLoader
from typing_extensions import TypedDict

from ..errors import InputError
from ..schema import Count, NotNegative, Switch, WholeNumber, check, some_keys

# Keys of whole loaders. Elsewhere one without a dataset may be what a stage changes in these.
LOADER_KEYS = (
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'arch_evaluation.calibration_dataloader',
)
# What torch refuses without processes that load, and the value that it takes there.
NEED_WORKERS = dict(
    persistent_workers=False, prefetch_factor=None, timeout=0, multiprocessing_context=None
)


@some_keys
class _Loader(TypedDict, total=False):
    batch_size: Count
    num_workers: WholeNumber
    drop_last: Switch
    persistent_workers: Switch
    pin_memory: Switch
    prefetch_factor: Count | None
    timeout: NotNegative
    collate_fn: Mapping | Callable | None


def check_loaders(config: Config) -> None:
    """Checks every ``*_dataloader`` of a config, at any depth: those of a Runner, of
    ``arch_evaluation``, of loops and of hooks.

    Raises:
        InputError: One cannot be built; the message has its key and a value that fits.
    """
    settings = config.to_dict()
    for key in LOADER_KEYS:
        if settings.get(key) is not None:
            check(cast(Any, dict | DataLoader), settings[key], key=key)
    for key, loader in _loaders(settings):
        _check(key, loader)
    if settings.get('train_cfg') is not None and settings.get('train_dataloader'):
        loader = settings['train_dataloader']  # may be built already
        if isinstance(loader, Mapping) and 'sampler' not in loader:  # None is one, for streams
            raise InputError(
                "train_dataloader has no sampler: expected sampler=dict(type='DefaultSampler', "
                'shuffle=True)'
            )


def _loaders(settings: Any, key: str = '') -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The loaders in settings by dotted key."""
    if isinstance(settings, list | tuple):
        settings = dict(enumerate(settings))
    if not isinstance(settings, Mapping):
        return
    for name, value in settings.items():
        path = f'{key}.{name}' if key else str(name)
        if str(name).endswith('dataloader') and isinstance(value, Mapping) and value:
            if 'dataset' in value or path in LOADER_KEYS:
                yield path, value
        yield from _loaders(value, path)


def _check(key: str, loader: Mapping[str, Any]) -> None:
    def refuse(name: str, expected: str) -> None:
        raise InputError(f'{key}.{name}={loader.get(name)!r}: expected {expected}')

    if loader.get('dataset') is None:
        raise InputError(
            f'{key} has no dataset: expected dataset=dict(type=..., ...), what it reads'
        )
    check(_Loader, loader, key=key)
    for name in NEED_WORKERS if loader.get('num_workers', 0) == 0 else ():
        if loader.get(name):
            refuse(name, f'{key}.num_workers of at least 1 with it, or {name}={NEED_WORKERS[name]}')
    if loader.get('shuffle'):
        refuse('shuffle', "sampler=dict(type='DefaultSampler', shuffle=True) instead")
    if 'batch_size' not in loader and (
        loader.get('batch_sampler') is not None or key.endswith('calibration_dataloader')
    ):
        raise InputError(f'{key} has no batch_size: expected a whole number, such as 32')
    if loader.get('batch_sampler') is not None and loader.get('drop_last'):
        refuse('drop_last', 'it as an argument of the batch_sampler, which makes the batches')
