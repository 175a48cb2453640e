"""Looks into datasets that hold other datasets.

mm's wrappers (``ConcatDataset``, ``RepeatDataset``, ``ClassBalancedDataset``, ``KFoldDataset``,
``MultiImageMixDataset``) answer only part of what a plain dataset does. Every place of ours that
needs a sample's record, the classes or a pipeline asks here."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.dataset import BaseDataset, ClassBalancedDataset, RepeatDataset
from torch.utils.data import ConcatDataset, Subset

# mm's datasets and wrappers have no class in common.
AnyDataset = Any


class ChosenSamples(Subset):
    """Some samples of a wrapper, which has no ``get_subset`` of its own.

    Args:
        dataset: The wrapper, fully initialised.
        indices: Its samples that are kept, in this order.
    """

    def __init__(self, dataset: AnyDataset, indices: Sequence[int]) -> None:
        super().__init__(dataset, indices)

    @property
    def metainfo(self) -> dict[str, Any]:
        return metainfo(self.dataset)

    def get_data_info(self, index: int) -> dict[str, Any]:
        return sample_info(self, index)


def plain_sample(dataset: AnyDataset, index: int) -> tuple[AnyDataset, int]:
    """The plain dataset that a sample comes from, and the sample's index there.

    Args:
        dataset: Any dataset, fully initialised.
        index: Index of the sample in ``dataset``.
    """
    while not isinstance(dataset, BaseDataset):
        if isinstance(dataset, ConcatDataset):
            number = bisect_right(dataset.cumulative_sizes, index)
            index -= dataset.cumulative_sizes[number - 1] if number else 0
            dataset = dataset.datasets[number]
        elif isinstance(dataset, Subset):
            dataset, index = dataset.dataset, dataset.indices[index]
        elif isinstance(dataset, RepeatDataset):
            dataset, index = dataset.dataset, index % len(dataset.dataset)
        elif isinstance(dataset, ClassBalancedDataset):
            dataset, index = dataset.dataset, dataset.repeat_indices[index]
        elif hasattr(dataset, 'dataset'):  # of the same samples, such as KFoldDataset
            dataset = dataset.dataset
        else:
            break
    return dataset, index


def datasets_within(dataset: AnyDataset) -> Iterator[AnyDataset]:
    """A dataset, those that it wraps, and theirs."""
    yield dataset
    for part in _parts(dataset):
        yield from datasets_within(part)


def plain_datasets(dataset: AnyDataset) -> Iterator[AnyDataset]:
    """The plain datasets within a dataset; itself where it is one."""
    return (each for each in datasets_within(dataset) if not _parts(each))


def _parts(dataset: AnyDataset) -> Sequence[AnyDataset]:
    """What a dataset wraps."""
    if isinstance(dataset, BaseDataset):
        return ()
    if isinstance(dataset, ConcatDataset):
        return dataset.datasets
    return (dataset.dataset,) if hasattr(dataset, 'dataset') else ()


def sample_info(dataset: AnyDataset, index: int) -> dict[str, Any]:
    """What a dataset says of a sample before its pipeline runs; nothing where it does not say."""
    plain, place = plain_sample(dataset, index)
    return plain.get_data_info(place) if hasattr(plain, 'get_data_info') else {}


def sample_infos(dataset: AnyDataset) -> Iterator[dict[str, Any]]:
    """:func:`sample_info` of every sample, in order."""
    return (sample_info(dataset, index) for index in range(len(dataset)))


def metainfo(dataset: AnyDataset) -> dict[str, Any]:
    """What a dataset says of itself, such as its ``classes``; of several datasets put together,
    what the first says."""
    found = getattr(dataset, 'metainfo', None)
    if found is None:
        first = next(plain_datasets(dataset), dataset)
        found = getattr(first, 'metainfo', None)
    return found or {}
