"""A sampler that gives every rank the whole set, as the evaluation of archs needs."""

from collections.abc import Iterator

import numpy as np
from mmengine.dataset import BaseDataset
from torch.utils.data import Sampler

from ..errors import InputError
from ..registry import DATA_SAMPLERS
from ..schema import Count, Seed
from .seeded_samples import SeededSamples
from .wrappers import sample_infos


@DATA_SAMPLERS.register_module()
class UnshardedSampler(Sampler[int]):
    """The same indices on every rank and at every pass (mmengine's samplers give each rank its
    share).

    Args:
        dataset: The dataset.
        num_samples: How many samples, drawn without replacement. Where every sample has one class,
            each class keeps its share of them. Defaults to all.
        seed: Seed of the draw and of the order. None keeps the dataset's order, which is often by
            class.

    Raises:
        InputError: More samples asked than there are, or some of them without a seed.
    """

    def __init__(
        self, dataset: BaseDataset, num_samples: Count | None = None, seed: Seed | None = None
    ) -> None:
        if num_samples is not None and (seed is None or num_samples > len(dataset)):
            raise InputError(
                f'num_samples={num_samples} of a dataset with {len(dataset)} samples, seed={seed}'
            )
        indices: np.ndarray = np.arange(len(dataset))
        if seed is not None:
            rng = np.random.default_rng(seed)
            indices = rng.permutation(len(dataset))
            if num_samples is not None:
                indices = _stratified(indices, sample_classes(dataset), num_samples)
        self.indices = indices.tolist()

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


def sample_classes(dataset: BaseDataset) -> np.ndarray | None:
    """The class of every sample, ``(len(dataset), )``, or None where the dataset does not say or
    samples have several."""
    if isinstance(dataset, SeededSamples):  # calibration reads images, whatever their classes
        return None
    labels = [info.get('gt_label') for info in sample_infos(dataset)]
    return (
        np.array(labels) if all(isinstance(label, int | np.integer) for label in labels) else None
    )


def _stratified(order: np.ndarray, classes: np.ndarray | None, n: int) -> np.ndarray:
    """The ``n`` first of ``order``, class by class in proportion; what rounding leaves goes to the
    classes that lost most by it."""
    if classes is None:
        return order[:n]
    values, counts = np.unique(classes, return_counts=True)
    shares = counts * n / len(order)
    quota = shares.astype(int)
    quota[np.argsort(quota - shares, kind='stable')[: n - quota.sum()]] += 1
    quota = dict(zip(values.tolist(), quota.tolist()))
    kept = []
    for index in order.tolist():
        if quota[int(classes[index])] > 0:
            quota[int(classes[index])] -= 1
            kept.append(index)
    return np.array(kept)
