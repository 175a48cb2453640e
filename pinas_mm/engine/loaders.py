"""Loaders for the evaluation of archs, made from ordinary mm dataloader configs."""

import copy
from collections.abc import Mapping, Sized
from typing import Any, cast

import torch
from mmengine.dataset import InfiniteSampler
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ..datasets import SeededSamples
from ..datasets.named_loading import name_unreadable_files
from ..errors import InputError, warn_once
from ..models.backbones import borrowed
from ..scoring.bn_recalibration import (
    CALIBRATION_BATCHES,
    MIN_CALIBRATION_BATCH,
    MIN_CALIBRATION_IMAGES,
)
from ..unwrap import unwrapped

# Images of the minibatch of training-free scores: NASWOT's, as published; others take fewer.
LEAST_MINIBATCH, MINIBATCH = 16, 128


def build_loader(
    config: DataLoader | dict[str, Any], seed: int | None = None, diff_rank_seed: bool = False
) -> DataLoader:
    """mmengine's ``Runner.build_dataloader``, with two differences for small and odd data.

    A file that cannot be read is named (:class:`~pinas_mm.datasets.named_loading.NamedLoading`).
    And where ``drop_last`` would leave no batch at all, so that training would end at once without
    a word, the batch is as large as the dataset, which is said once.

    Args:
        config: An mm dataloader config.
        seed, diff_rank_seed: As in ``Runner.build_dataloader``.

    Raises:
        InputError: A batch sampler makes no batch of the dataset.
    """
    loader = Runner.build_dataloader(config, seed, diff_rank_seed)
    name_unreadable_files(loader.dataset)
    if not isinstance(config, dict):
        return loader
    if isinstance(config.get('batch_sampler'), Mapping) and len(loader) == 0 < len(loader.dataset):
        raise InputError(
            f'{type(loader.batch_sampler).__name__}: {type(loader.dataset).__name__} has '
            f'{len(loader.dataset)} samples, which make no batch of {config.get("batch_size")}: '
            'expected a smaller batch_size, or drop_last=False'
        )
    if not loader.drop_last:
        return loader
    if isinstance(loader.sampler, InfiniteSampler) or not isinstance(loader.sampler, Sized):
        return loader  # a stream, as that of an IterableDataset
    size, share = loader.batch_size, len(loader.sampler)
    if size is None or not 0 < share < size:
        return loader
    warn_once(
        f'batch_size={size} with drop_last: {type(loader.dataset).__name__} has {share} samples '
        f'for a process, so the batch is {share}'
    )
    return build_loader(
        config | dict(batch_size=share, dataset=loader.dataset), seed, diff_rank_seed
    )


def built_dataset(config: dict[str, Any] | Dataset) -> Any:
    """The dataset of a config, or one that is built already; its list of samples is read. A file
    that cannot be read is named from here on, also by what wraps the dataset."""
    dataset = DATASETS.build(copy.deepcopy(config)) if isinstance(config, dict) else config
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    name_unreadable_files(dataset)
    return dataset


def capped(key: str, count: int | None, dataset: Any) -> int | None:
    """How many samples of a dataset are used: ``count``, or None for all, also where it has not so
    many, which is said once. ``key`` is what the config calls the count."""
    if count is None or count <= len(dataset):
        return count
    warn_once(f'{key}={count}: {type(dataset).__name__} has {len(dataset)} samples, all are used')
    return None


def _built_with_numbers(config: dict[str, Any] | Dataset, key: str) -> Any:
    """:func:`built_dataset` of a dataset whose samples are chosen by number."""
    dataset = built_dataset(config)
    if isinstance(dataset, IterableDataset):
        raise InputError(
            f'{key}: {type(dataset).__name__} is a stream: expected a dataset whose samples have '
            'numbers; an IterableDataset can only be trained on'
        )
    return dataset


def whole_set_loader(
    config: dict[str, Any],
    num_samples: int | None = None,
    seed: int = 0,
    shuffle: bool = False,
    key: str = 'num_samples',
) -> DataLoader:
    """A loader over the whole set on every rank, in a fixed order.

    Args:
        config: An mm dataloader config; its sampler is replaced.
        num_samples: Only so many samples, drawn by ``seed``, each class in proportion; all where
            there are not so many, which is said once.
        seed: Seed of the draw.
        shuffle: Whether the order is one drawn by ``seed`` also where all samples are read.
        key: What the config calls ``num_samples``, for that message.

    Raises:
        InputError: The dataset is a stream (``IterableDataset``).
    """
    dataset = _built_with_numbers(config['dataset'], 'dataloader')
    config = dict(config) | dict(dataset=dataset)
    num_samples = capped(key, num_samples, dataset)
    config.pop('batch_sampler', None)
    drawn = shuffle or num_samples is not None
    config['sampler'] = dict(
        type='pinas_mm.UnshardedSampler', num_samples=num_samples, seed=seed if drawn else None
    )
    return build_loader(config, seed=seed)


def arch_evaluation(
    config: Mapping[str, Any], training_set: bool = False, **given: Any
) -> dict[str, Any]:
    """How archs of a supernet are evaluated: ``arch_evaluation`` of a config, in full.

    Args:
        config: The config, such as ``runner.cfg``.
        training_set: Whether BN is recalibrated with ``train_dataloader``, in large enough batches,
            where neither the config nor ``given`` names other data.
        given: What takes the place of the config's own; None does not.

    Returns:
        ``calibration_dataloader`` (a dataloader config, such as the training one, which BN is
        recalibrated with), ``calibration_batches`` (49 by default, as published) and ``autocast``
        (``'bfloat16'``, ``'float16'`` or None).

    Raises:
        InputError: Neither has a calibration_dataloader, or the config has another key.
    """
    settings = dict(config.get('arch_evaluation') or {})
    settings |= {key: value for key, value in given.items() if value is not None}
    if training_set and settings.get('calibration_dataloader') is None:
        settings['calibration_dataloader'] = calibration_config(config['train_dataloader'])
    result = dict(
        calibration_dataloader=None, calibration_batches=CALIBRATION_BATCHES, autocast=None
    )
    unknown = sorted(settings.keys() - result.keys())
    if unknown or settings.get('calibration_dataloader') is None:
        found = f'has {", ".join(unknown)}' if unknown else 'has no calibration_dataloader'
        raise InputError(
            f'arch_evaluation {found}: expected arch_evaluation=dict('
            'calibration_dataloader=train_dataloader, calibration_batches=49), the data that BN is '
            "recalibrated with, and with autocast='bfloat16' where half precision is wanted"
        )
    return result | settings


def calibration_config(train_dataloader: dict[str, Any]) -> dict[str, Any]:
    """The training set's dataloader config, with batches large enough for BN statistics."""
    return dict(train_dataloader) | dict(
        batch_size=max(train_dataloader.get('batch_size', 1), MIN_CALIBRATION_BATCH)
    )


def calibration_loader(
    config: dict[str, Any],
    num_batches: int,
    seed: int = 0,
    key: str = 'arch_evaluation.calibration_dataloader',
) -> DataLoader:
    """A loader of the batches that BN is recalibrated with: those of :func:`seeded_loader`.

    Warns once where there are fewer than asked for, or so few images that their statistics say
    little.

    Args:
        config, num_batches, seed: As in :func:`seeded_loader`.
        key: Where the config stands.

    Raises:
        InputError: Too small a batch, or none.
    """
    loader = seeded_loader(config, num_batches, seed, key, MIN_CALIBRATION_BATCH)
    size, dataset = cast(int, loader.batch_size), cast(Sized, loader.dataset)
    batches, images = len(loader), len(loader) * size
    asked = f'{key} has {len(dataset)} images, {batches} whole batches of {size}'
    if batches < num_batches:
        asked += f', and calibration_batches={num_batches}'
    if images < MIN_CALIBRATION_IMAGES:
        asked += f'; of fewer than {MIN_CALIBRATION_IMAGES} images the scores are unsure'
    if batches < num_batches or images < MIN_CALIBRATION_IMAGES:
        warn_once(f'BN is recalibrated with {images} images: {asked}')
    return loader


@torch.no_grad()
def first_images(model: nn.Module, config: dict[str, Any], seed: int) -> Tensor:
    """A minibatch ``(N, C, H, W)`` as the model's backbone gets it, for scores that train nothing.

    At least 16 images, as SWAP is published with, also where the batches are smaller, as a
    detector's are: two images tell nothing about patterns of activations. At most 128, as NASWOT is
    published with.

    Args:
        model: An mm model; its data preprocessor is used.
        config: As in :func:`seeded_loader`.
        seed: Seed of the draw.
    """
    batch_size = max(config.get('batch_size', 1), LEAST_MINIBATCH)
    batch = next(iter(seeded_loader(dict(config, batch_size=batch_size), 1, seed)))
    plain = unwrapped(model)
    with borrowed(plain):  # as for training, which pads images of several sizes, but not mixed
        images: Tensor = plain.data_preprocessor(batch, True)['inputs'][:MINIBATCH]
    return images


def seeded_loader(
    config: dict[str, Any],
    num_batches: int,
    seed: int = 0,
    key: str = 'dataloader',
    min_batch: int = 1,
) -> DataLoader:
    """A loader of whole batches whose samples and augmentation are fixed by ``seed``. Where the
    dataset is smaller than a batch, it is the batch, which is said once.

    Args:
        config: An mm dataloader config, such as the training one; its sampler is replaced.
        num_batches: Most batches; fewer where the dataset has fewer whole ones.
        seed: Seed of the draw and of each sample's augmentation.
        key: Where the config stands.
        min_batch: Fewest images of a batch: 16 where BN statistics are made of it.

    Raises:
        InputError: Too small a batch, or the dataset has not even one or is a stream
            (``IterableDataset``).
    """
    batch = config.get('batch_size', 1)
    if batch < min_batch:
        raise InputError(
            f'{key}.batch_size={batch}: BN statistics of so few images say too little; expected at '
            f'least {min_batch}'
        )
    dataset = _built_with_numbers(config['dataset'], key)
    size = len(dataset)
    if min_batch <= size < batch:
        warn_once(
            f'{key}.batch_size={batch}: {type(dataset).__name__} has {size} samples, so the batch '
            f'is {size}'
        )
        batch = size
    batches = min(num_batches, size // batch)
    if batches < 1:
        raise InputError(
            f'{key}: no whole batch of {batch} in {size} samples (num_batches={num_batches}): '
            f'expected at least {max(min_batch, 1)} images, of which a smaller held_out leaves more'
        )
    return whole_set_loader(
        dict(config) | dict(batch_size=batch, dataset=SeededSamples(dataset, seed), drop_last=True),
        batches * batch,
        seed,
    )
