"""Images that two datasets share: a held-out part must share none with what is learned from."""

import hashlib
import os
import pickle

from torch.utils.data import Dataset

from .wrappers import sample_infos

# Of images in memory, equal ones are no proof: a set may hold a few twice. This share of them is.
SHARED = 0.1


def shared_images(one: Dataset, other: Dataset) -> list[str]:
    """The images that both datasets have.

    Args:
        one, other: Any mm datasets, also wrappers.

    Returns:
        The names of the files in their order, however they are spelled, and behind links. Of
        samples without a file, such as CIFAR's, numbers of those of ``one`` whose records are
        equal to one of ``other``; none if these are less than a tenth.
    """
    files, records = _images(one)
    other_files, other_records = _images(other)
    equal = [f'sample {index}' for key, index in records.items() if key in other_records]
    return sorted(files & other_files) + (equal if len(equal) > SHARED * len(records) else [])


def _images(dataset: Dataset) -> tuple[set[str], dict[bytes, int]]:
    """The files of a dataset; and of samples without one, a checksum of each with its number."""
    files: set[str] = set()
    records: dict[bytes, int] = {}
    for index, info in enumerate(sample_infos(dataset)):
        if 'img_path' in info:
            files.add(os.path.realpath(info['img_path']))
        else:
            plain = {key: value for key, value in info.items() if key != 'sample_idx'}
            records.setdefault(hashlib.blake2b(pickle.dumps(plain)).digest(), index)
    return files, records
