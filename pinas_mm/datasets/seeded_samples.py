"""Augmentation that is a function of (seed, sample index)."""

import copy
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from torch.utils.data import Dataset

from .wrappers import datasets_within, metainfo


class SeededSamples(Dataset):
    """Gives every sample the same random augmentation at every pass, in every worker and on every
    rank.

    Some transforms remember samples: mmdet's ``CachedMosaic`` mixes with those it was given before.
    Their memory is empty at the start of every batch, so that a batch is a function of the seed and
    its indices, whatever was read before it. That holds for anything that a transform keeps; one
    whose output does not depend on it, as that of a cache of files, says so by a ``__deepcopy__``
    that returns ``self``.

    Args:
        dataset: Any dataset whose pipeline draws from the global generators of Python, NumPy and
            PyTorch, or from its own.
        seed: With a sample's index, it fixes the augmentation.
    """

    def __init__(self, dataset: BaseDataset, seed: int = 0) -> None:
        self.dataset = dataset
        self.seed = seed
        self.pipelines = [
            (owner, copy.deepcopy(owner.pipeline))
            for owner in datasets_within(dataset)
            if getattr(owner, 'pipeline', None) is not None
        ]

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def metainfo(self) -> dict[str, Any]:
        return metainfo(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """A batch, as PyTorch's loaders ask for it."""
        for owner, pipeline in self.pipelines:
            owner.pipeline = copy.deepcopy(pipeline)
        return [self._sample(index) for index in indices]

    def _sample(self, index: int) -> Any:
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        value = int(np.random.SeedSequence((self.seed, index)).generate_state(1)[0])
        try:
            random.seed(value)
            np.random.seed(value)
            # Not torch.manual_seed: where CUDA is not initialised, it notes the call with its stack
            # for every GPU, which takes longer than reading a small image. Augmentation runs on the
            # CPU.
            torch.default_generator.manual_seed(value)
            return self.dataset[index]
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])
