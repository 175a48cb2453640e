"""The user's own images as mm dataloaders."""

import copy
from collections.abc import Mapping
from typing import Any, TypeAlias

from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
    default_convert,
)

from ..datasets.torch_images import TorchImages
from ..errors import InputError
from ..scoring.bn_recalibration import MIN_CALIBRATION_BATCH

# What a user may give as images: see :func:`pinas_mm.supernet`.
Images: TypeAlias = Dataset | DataLoader | Mapping[str, Any]
EXPECTED = (
    'a torch Dataset of (image, label), a DataLoader of one, or the config of an mm dataset such '
    "as dict(type='ClassFolders', ...)"
)


def loader_config(
    images: Images, source: str, batch_size: int, to_bgr: bool, given: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The dataloader config of images that a user gives.

    Args:
        images: The images: a torch Dataset; a DataLoader, of which dataset (all of it), batch size
            and number of workers are taken; the config of an mm dataset; or one of an mm
            dataloader.
        source: What the user calls them: ``'train'`` or ``'val'``.
        batch_size: For a torch Dataset, then at least 16 for ``'train'``, and for an mm dataset
            where ``given`` is None.
        to_bgr: See :class:`TorchImages`.
        given: The config's own dataloader, whose batch size, workers and so on an mm dataset gets.

    Raises:
        InputError: Something else, or a DataLoader that chooses or changes images by itself.
    """
    if isinstance(images, Mapping):
        images = copy.deepcopy(dict(images))
        if 'type' in images:
            own = dict(given or dict(batch_size=batch_size, num_workers=0))
            own.pop('batch_sampler', None)
            sampler = dict(type='DefaultSampler', shuffle=False)
            return own | dict(dataset=images, sampler=own.get('sampler') or sampler)
        if 'dataset' in images:
            return images
    workers = 0
    if isinstance(images, DataLoader):
        _check_reads_all(images, source)
        batch_size, workers = images.batch_size or batch_size, images.num_workers
        images = images.dataset
    if not isinstance(images, Dataset) and not (
        hasattr(images, '__getitem__') and hasattr(images, '__len__')
    ):
        raise InputError(f'{source}={type(images).__name__}: expected {EXPECTED}')
    if isinstance(images, Mapping | str | list | tuple):
        raise InputError(f'{source}={images!r}: expected {EXPECTED}')
    return dict(
        batch_size=max(batch_size, MIN_CALIBRATION_BATCH) if source == 'train' else batch_size,
        num_workers=workers,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=TorchImages(images, source, to_bgr),
    )


def _check_reads_all(loader: DataLoader, source: str) -> None:
    """Whether a DataLoader gives every sample of its dataset once and as it is, in any order.

    Raises:
        InputError: It does not: that would be lost, since mm reads the dataset by itself.
    """
    sampler: Any = loader.sampler
    dataset: Any = loader.dataset
    if isinstance(dataset, IterableDataset):
        return  # TorchImages refuses it
    kind, own = type(sampler).__name__, None
    if loader.batch_size is None and loader.batch_sampler is not None:
        own = 'a batch_sampler of its own'
    elif type(sampler) not in (SequentialSampler, RandomSampler):
        own = kind
    elif len(sampler) != len(dataset) or getattr(sampler, 'replacement', False):
        own = f'a {kind} of {len(sampler)} samples'
    if own is not None:
        raise InputError(
            f'{source}: a DataLoader with {own}, expected one that reads every sample once; for '
            f'some of them give torch.utils.data.Subset(dataset, indices)'
        )
    if loader.collate_fn not in (default_collate, default_convert):
        raise InputError(
            f"{source}: a DataLoader with a collate_fn of its own, expected torch's default: give "
            f'a dataset whose samples (image, label) are as the network gets them'
        )


def torch_images(loader: Mapping[str, Any] | None) -> TorchImages | None:
    """The torch Dataset that a dataloader config reads, if it is one."""
    dataset = (loader or {}).get('dataset')
    return dataset if isinstance(dataset, TorchImages) else None
