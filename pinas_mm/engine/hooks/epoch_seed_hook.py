"""Makes the randomness of an epoch a function of (seed, epoch, rank), so that a resumed training is
the same."""

import numpy as np
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner, set_random_seed

from ...registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds Python, NumPy and PyTorch at the start of every training epoch.

    mmengine saves no generator state in its checkpoints: without this, augmentation and dropout
    after a resume differ from those of a training that was never stopped. Workers that persist over
    epochs keep their own generators; exactness then needs ``num_workers=0`` or
    ``persistent_workers=False``."""

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        sequence = np.random.SeedSequence((runner.seed, runner.epoch, get_rank()))
        set_random_seed(int(sequence.generate_state(1)[0]))
