"""A sampler that gives every batch as many samples of the source as of the target domain."""

from collections.abc import Iterator
from itertools import count

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from ...errors import InputError
from ...registry import DATA_SAMPLERS
from ...schema import Seed
from .domain_pair import DomainPair


@DATA_SAMPLERS.register_module()
class DomainSampler(Sampler[int]):
    """Samples of the source and of the target in turn, without end: half of every batch of an even
    size is of either domain.

    Each domain is read in an order of its own, drawn anew for every pass through it, so that the
    shorter one comes round more often. The whole order is a function of the seed; ranks take its
    pairs in turn, so that together they read each image once a pass. For mmengine's
    ``IterBasedTrainLoop``, which resumes where it stopped; a loop over epochs would wait for an
    end.

    mmdet's multi-source samplers were no use: they wait for ever for a domain without images, are
    told the batch size once more, and the grouping one needs the width and height of every image,
    which a folder of images does not tell.

    Args:
        dataset: Both domains.
        seed: Seed of the orders; mmengine gives the run's. Defaults to a random one that ranks
            agree on.

    Raises:
        InputError: Another dataset.
    """

    def __init__(self, dataset: DomainPair, seed: Seed | None = None) -> None:
        if not isinstance(dataset, DomainPair):
            raise InputError(
                f'DomainSampler of a {type(dataset).__name__}: expected train_dataloader.dataset '
                f'to be a pinas_mm.DomainPair'
            )
        self.sizes = [len(domain) for domain in dataset.datasets]
        self.seed = sync_random_seed() if seed is None else seed
        self.rank, self.world_size = get_dist_info()
        self.start = 0

    def __iter__(self) -> Iterator[int]:
        orders: list[np.ndarray] = [np.empty(0, np.int64)] * 2
        cycles = [-1, -1]
        for number in count(self.start):
            pair, domain = divmod(number, 2)
            cycle, place = divmod(pair * self.world_size + self.rank, self.sizes[domain])
            if cycle != cycles[domain]:
                cycles[domain] = cycle
                orders[domain] = np.random.default_rng((self.seed, domain, cycle)).permutation(
                    self.sizes[domain]
                )
            yield int(orders[domain][place]) + domain * self.sizes[0]

    def skip(self, num_samples: int) -> None:
        """Starts after so many samples of this rank: mmengine calls it when an iteration-based
        training resumes."""
        self.start = num_samples

    def __len__(self) -> int:
        """This rank's samples in one pass through the longer domain."""
        return 2 * -(-max(self.sizes) // self.world_size)
