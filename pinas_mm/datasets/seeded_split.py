"""A held-out part of a training set, fixed by a seed."""
from typing import Literal

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS as ROOT_DATASETS

from ..errors import InputError
from ..registry import DATASETS


@DATASETS.register_module()
def SeededSplit(dataset: dict, part: Literal['learning', 'held_out'], held_out: int, seed: int = 0) -> BaseDataset:  # noqa: N802
    """Builds ``dataset`` and keeps one of its two parts. Named like a class since configs name it as ``type``.

    Args:
        dataset: Config of any mm dataset.
        part: ``'held_out'``, the samples that searches are scored on, or ``'learning'``, all others.
        held_out: Number of held-out samples.
        seed: Seed of the split; the same in every config that shares a dataset.

    Returns:
        An ordinary mm dataset.

    Raises:
        InputError: An unknown part, images that cannot be read, or no sample left in one of the parts.
    """
    if part not in ('learning', 'held_out'):
        raise InputError(f"SeededSplit: part={part!r}, expected 'learning' or 'held_out'")
    try:
        whole = ROOT_DATASETS.build(dataset)
        whole.full_init()
    except (OSError, RuntimeError) as error:  # missing and empty folders
        raise InputError(f"SeededSplit: {dataset.get('type')} of {dataset.get('data_root')!r}: {error}") from error
    if not 0 < held_out < len(whole):
        raise InputError(f'SeededSplit: held_out={held_out} of {len(whole)} samples in {type(whole).__name__}')
    order = np.random.default_rng(seed).permutation(len(whole))
    indices = order[:held_out] if part == 'held_out' else order[held_out:]
    return whole.get_subset(sorted(indices.tolist()))
