"""Batches of P persons with K images each, as the triplet loss needs them."""

from collections.abc import Iterator

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Dataset, Sampler

from ...datasets.unsharded_sampler import sample_classes
from ...errors import InputError
from ...registry import DATA_SAMPLERS
from ...schema import Count, Seed


@DATA_SAMPLERS.register_module()
class IdentitySampler(Sampler[int]):
    """Every person once an epoch, in random order, with K images one after the other (PK batches,
    Hermans et al., 2017, section 2).

    A loader of ``batch_size = P * K`` with ``drop_last=True`` (a last batch of one person would
    have no negative) then has batches of P different persons. What is drawn is a function of (seed,
    epoch), and the same on any number of ranks, which take turns.

    Args:
        dataset: A dataset whose samples have one ``gt_label`` each.
        images_per_person: K, 4 as published. They are drawn without replacement; a person with
            fewer gives each of them, and some again.
        seed: Seed of the order and the images. Defaults to one that ranks agree on.

    Raises:
        InputError: Samples without one label each, K below 1, or fewer persons than ranks.
    """

    def __init__(
        self, dataset: Dataset, images_per_person: Count = 4, seed: Seed | None = None
    ) -> None:
        labels = sample_classes(dataset)
        self.rank, self.world_size = get_dist_info()
        persons = np.unique(labels) if labels is not None else []
        if len(persons) < self.world_size:
            raise InputError(
                f'IdentitySampler: {len(persons)} persons (gt_label) in {type(dataset).__name__} '
                f'on {self.world_size} rank(s): expected at least one for each rank'
            )
        self.images = [np.flatnonzero(labels == person) for person in persons]
        self.images_per_person = images_per_person
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        drawn = [
            np.resize(rng.permutation(self.images[person]), self.images_per_person)
            for person in rng.permutation(len(self.images))
        ]
        return iter(np.concatenate(drawn[self.rank :: self.world_size])[: len(self)].tolist())

    def __len__(self) -> int:
        return len(self.images) // self.world_size * self.images_per_person

    def set_epoch(self, epoch: int) -> None:
        """What mmengine's DistSamplerSeedHook calls before every epoch."""
        self.epoch = epoch
