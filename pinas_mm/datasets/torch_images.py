"""A torch Dataset of images and labels as mm's classifiers read it."""

from collections.abc import Sized
from typing import Any

import numpy as np
import torch
from mmpretrain.structures import DataSample
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from ..errors import InputError


class TorchImages(Dataset):
    """Wraps a torch Dataset whose samples are ``(image, label)``, such as torchvision's.

    A PIL image or a uint8 tensor ``(C, H, W)`` in RGB order is given to the model's data
    preprocessor, which normalises it. A float tensor is given as it is: for it, the preprocessor
    must not normalise (:attr:`gives_floats`).

    A copy is the same object, and its text does not depend on the process: a config may hold it.

    Args:
        dataset: The dataset; its samples have numbers (no ``IterableDataset``).
        source: What the user calls it, for messages: ``'val'``.
        to_bgr: Whether the preprocessor expects BGR, as mm's image files are loaded, and makes RGB
            of it.

    Raises:
        InputError: It has no samples, or the first one is not an image with a label.
    """

    def __init__(self, dataset: Dataset, source: str = 'dataset', to_bgr: bool = False) -> None:
        if not isinstance(dataset, Sized) or len(dataset) == 0:
            raise InputError(
                f'{source}: {type(dataset).__name__} has no samples or no length, expected a '
                f'dataset with at least one sample'
            )
        # Not `dataset`: mm's wrappers are told by that name.
        self.samples: Any = dataset
        self.source, self.to_bgr = source, to_bgr
        self.labels = known_labels(dataset)
        self.gives_floats = self._image(0).is_floating_point()

    @property
    def metainfo(self) -> dict[str, Any]:
        """``classes``, where the dataset says them."""
        whole: Any = self.samples
        while isinstance(whole, Subset):
            whole = whole.dataset
        classes = getattr(whole, 'classes', None)
        return {} if classes is None else dict(classes=tuple(map(str, classes)))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, label = self._pair(index)
        sample = DataSample().set_gt_label(int(label))
        sample.set_metainfo(dict(img_shape=tuple(image.shape[-2:]), sample_idx=index))
        return dict(inputs=image, data_samples=sample)

    def get_data_info(self, index: int) -> dict[str, Any]:
        """``gt_label``, where the dataset knows it without reading the image."""
        return {} if self.labels is None else dict(gt_label=int(self.labels[index]))

    def __deepcopy__(self, memo: dict[int, Any]) -> 'TorchImages':
        return self

    def __repr__(self) -> str:
        return f'TorchImages(dataset={type(self.samples).__name__!r}, samples={len(self)})'

    def _image(self, index: int) -> Tensor:
        return self._pair(index)[0]

    def _pair(self, index: int) -> tuple[Tensor, int]:
        sample = self.samples[index]
        expected = (
            'expected (image, label) with a PIL image or a tensor (C, H, W) of uint8 or floats, '
            'and a whole number'
        )
        if not isinstance(sample, tuple | list) or len(sample) != 2:
            raise InputError(
                f'{self.source}: sample {index} of {type(self.samples).__name__} is a '
                f'{type(sample).__name__}, {expected}'
            )
        image, label = sample
        if isinstance(image, Image.Image):
            grey = image.mode in ('L', '1')
            pixels = np.array(image.convert('L' if grey else 'RGB'))
            image = torch.from_numpy(pixels[None] if grey else pixels.transpose(2, 0, 1).copy())
        if not isinstance(image, Tensor) or image.ndim != 3:
            shape = tuple(getattr(image, 'shape', ()))
            raise InputError(
                f'{self.source}: the image of sample {index} is a {type(image).__name__} {shape}, '
                f'{expected}'
            )
        if not (image.dtype == torch.uint8 or image.is_floating_point()):
            raise InputError(
                f'{self.source}: the image of sample {index} has {image.dtype}, {expected}'
            )
        try:
            number = int(label)
        except (TypeError, ValueError):
            raise InputError(
                f'{self.source}: the label of sample {index} is {label!r}, {expected}'
            ) from None
        if self.to_bgr and image.dtype == torch.uint8 and len(image) == 3:
            image = image.flip(0)
        return image, number


def known_labels(dataset: Any) -> Any:
    """The labels of a torch Dataset, ``(len(dataset), )``, as far as it says them without its
    images: ``targets`` or ``labels`` as in torchvision, the second tensor of a ``TensorDataset``.
    None otherwise."""
    if isinstance(dataset, Subset):
        labels = known_labels(dataset.dataset)
        return None if labels is None else [labels[index] for index in dataset.indices]
    if isinstance(dataset, TensorDataset):
        found: Any = dataset.tensors[1] if len(dataset.tensors) == 2 else None
    else:
        found = getattr(dataset, 'targets', getattr(dataset, 'labels', None))
    try:
        labels = np.asarray(found)
    except (TypeError, ValueError, RuntimeError):
        return None
    fits = labels.shape == (len(dataset),) and np.issubdtype(labels.dtype, np.integer)
    return labels if fits else None
