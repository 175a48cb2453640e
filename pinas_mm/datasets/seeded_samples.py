"""Augmentation that is a function of (seed, sample index)."""

import random
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from torch.utils.data import Dataset


class SeededSamples(Dataset):
    """Gives every sample the same random augmentation at every pass, in every worker and on every
    rank.

    Args:
        dataset: Any dataset whose pipeline draws from the global generators of Python, NumPy and
            PyTorch.
        seed: With a sample's index, it fixes the augmentation.
    """

    def __init__(self, dataset: BaseDataset, seed: int = 0) -> None:
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def metainfo(self) -> dict[str, Any] | None:
        return getattr(self.dataset, 'metainfo', None)

    def __getitem__(self, index: int) -> Any:
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
