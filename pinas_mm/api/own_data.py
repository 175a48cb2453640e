"""The user's own images as mm dataloaders."""

import copy
from collections.abc import Mapping
from typing import Any, TypeAlias

from torch.utils.data import DataLoader, Dataset

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
        images: The images: a torch Dataset; a DataLoader, of which dataset, batch size and number
            of workers are taken; the config of an mm dataset; or one of an mm dataloader.
        source: What the user calls them: ``'train'`` or ``'val'``.
        batch_size: For a dataset.
        to_bgr: See :class:`TorchImages`.
        given: The config's own dataloader, whose batch size, workers and so on an mm dataset gets.

    Raises:
        InputError: Something else.
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


def torch_images(loader: Mapping[str, Any] | None) -> TorchImages | None:
    """The torch Dataset that a dataloader config reads, if it is one."""
    dataset = (loader or {}).get('dataset')
    return dataset if isinstance(dataset, TorchImages) else None
