"""A sampler that gives every rank the whole set, as the evaluation of archs needs."""
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Dataset, Sampler

from ..errors import InputError
from ..registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class UnshardedSampler(Sampler[int]):
    """The same indices on every rank and at every pass (mmengine's samplers give each rank its share).

    Args:
        dataset: The dataset.
        num_samples: How many samples, drawn without replacement by ``seed``. Defaults to all, in order.
        seed: Seed of the draw.

    Raises:
        InputError: More samples asked than there are.
    """

    def __init__(self, dataset: Dataset, num_samples: int | None = None, seed: int = 0) -> None:
        if num_samples is not None and not 0 < num_samples <= len(dataset):
            raise InputError(f'num_samples={num_samples} of a dataset with {len(dataset)} samples')
        indices = np.arange(len(dataset))
        if num_samples is not None:
            indices = np.random.default_rng(seed).permutation(len(dataset))[:num_samples]
        self.indices = indices.tolist()

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
