"""Looks into datasets that hold other datasets.

mm's wrappers (``ConcatDataset``, ``RepeatDataset``, ``ClassBalancedDataset``, ``KFoldDataset``,
``MultiImageMixDataset``) answer only part of what a plain dataset does. Every place of ours that
needs a sample's record, the classes or a pipeline asks here."""

import pickle
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
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

    def full_init(self) -> None:
        """Nothing is left to do. mm's wrappers call it of what they wrap."""

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


def sample_infos(
    dataset: AnyDataset, indices: Iterable[int] | None = None
) -> Iterator[dict[str, Any]]:
    """:func:`sample_info` of some samples, or of every sample in order, to be read only. Much
    faster than one by one: lists of millions of images are compared with heads before each
    training."""
    read: dict[int, Callable[[int], dict[str, Any]]] = {}
    for index in range(len(dataset)) if indices is None else indices:
        plain, place = plain_sample(dataset, index)
        key = id(plain)
        if key not in read:
            read[key] = _reader(plain)
        yield read[key](place)


def _reader(plain: AnyDataset) -> Callable[[int], dict[str, Any]]:
    """``plain.get_data_info``, faster: mmengine's own copies a record deeply, or takes longer to
    find it than to unpickle it. The labels of 200,000 records take 0.6 s in place of 2.0 s,
    and 0.3 s where the list is not serialised."""
    if not hasattr(plain, 'get_data_info'):
        return lambda index: {}
    if getattr(type(plain), 'get_data_info', None) is not BaseDataset.get_data_info:
        return plain.get_data_info
    plain.full_init()
    if not plain.serialize_data:
        return lambda index: {**plain.data_list[index], 'sample_idx': index}
    records, ends = memoryview(plain.data_bytes), [0, *plain.data_address.tolist()]

    def read(index: int) -> dict[str, Any]:
        return {**pickle.loads(records[ends[index] : ends[index + 1]]), 'sample_idx': index}

    return read


def metainfo(dataset: AnyDataset) -> dict[str, Any]:
    """What a dataset says of itself, such as its ``classes``; of several datasets put together,
    what the first says."""
    found = getattr(dataset, 'metainfo', None)
    if found is None:
        first = next(plain_datasets(dataset), dataset)
        found = getattr(first, 'metainfo', None)
    return found or {}
