"""Tells whether data are still what they were, without reading an image."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sized
from typing import Any

import numpy as np

from .wrappers import AnyDataset, plain_datasets, sample_infos

# Samples that are looked at, evenly spread. A name and a label take about 5 us, but a record with
# the masks of many instances takes a millisecond to unpickle, and the size of a file as long on a
# network disk.
MOST_NAMES, MOST_FILES = 10_000, 4_096


def fingerprint(dataset: AnyDataset) -> dict[str, Any] | None:
    """What the data of a dataset are: ``samples``, their number, and ``contents``, a hash.

    The hash is of file names, relative to where the dataset says its files are, and of labels; of
    up to 4,096 samples also of the sizes of the files and of all else that is known before a
    pipeline runs, such as boxes or images in memory. So moved data are the same, and data of which
    a class, a half or the contents changed are not. Of more than 10,000 samples so many are looked
    at: one file with another name may go unnoticed there, as may among more than 4,096 one with the
    same name and another size.

    Args:
        dataset: Any dataset, fully initialised.

    Returns:
        Plain data, equal for equal data; None for a stream, which does not say what it has.
    """
    if not isinstance(dataset, Sized):
        return None
    roots = sorted(_roots(dataset), key=len, reverse=True)
    count, digest = len(dataset), hashlib.blake2b(digest_size=8)
    looked_at = _spread(np.arange(count), MOST_NAMES)
    closely = set(_spread(looked_at, MOST_FILES).tolist())
    for index, info in zip(looked_at.tolist(), sample_infos(dataset, looked_at.tolist())):
        if not isinstance(info, Mapping):  # another method of that name than mmengine's
            known = [_plain(info, roots)]
        elif index in closely:
            sizes = {
                key: _size(value)
                for key, value in info.items()
                if isinstance(value, str) and key.endswith('_path')
            }
            known = [_plain(info, roots), sizes]
        else:
            known = [_plain(info.get('img_path'), roots), _plain(info.get('gt_label'), roots)]
        digest.update(f'{known}\n'.encode(errors='replace'))
    return dict(samples=count, contents=digest.hexdigest())


def _spread(values: np.ndarray, most: int) -> np.ndarray:
    """Up to so many of some values, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).round().astype(int)]


def _roots(dataset: AnyDataset) -> Iterator[str]:
    """The folders that a dataset says its files are in."""
    for plain in plain_datasets(dataset):
        prefixes = getattr(plain, 'data_prefix', None)
        places = [getattr(plain, 'data_root', None)]
        places += list(prefixes.values()) if isinstance(prefixes, Mapping) else [prefixes]
        for place in places:
            if isinstance(place, str) and place:
                yield os.path.join(os.path.normpath(place), '')


def _plain(value: Any, roots: list[str]) -> Any:
    """A value as plain data whose text is the same in every process and wherever the files are."""
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        for spelled in (text, os.path.normpath(text)):
            for root in roots:
                if spelled.startswith(root):
                    return spelled.removeprefix(root)
        return os.path.basename(text) if os.path.isabs(text) else text
    if isinstance(value, Mapping):
        return {str(key): _plain(each, roots) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, roots) for each in value]
    if isinstance(value, set):
        return sorted(map(str, value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bool | int | float | bytes | None):
        return value
    if hasattr(value, '__array__'):  # NumPy's and torch's
        array = np.asarray(value)
        content = hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=8)
        return [str(array.dtype), array.shape, content.hexdigest()]
    return type(value).__name__  # its text may have an address


def _size(path: str) -> int | None:
    """None where there is no such file, as in a remote storage."""
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return None
