"""Turns the training of any mm model with a searchable backbone into single-path supernet
training."""

from collections.abc import Sequence

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...models.backbones import supernet_of
from ...registry import HOOKS
from ...spaces import Arch, SearchSpace, arch_rng


@HOOKS.register_module()
class ArchSamplingHook(Hook):
    """Sets a sampled arch before every training iteration: uniformly, as in SPOS (Guo et al., ECCV
    2020), or with given probabilities.

    The arch of iteration t is a pure function of (seed, t): the same on every rank and after a
    resume.

    Args:
        seed: Seed of the archs.
        probabilities: What the candidates' probabilities are proportional to: one number per
            candidate, for all slots alike, or a list of them for every slot. Defaults to uniform.
            Candidates without weights learn nothing when they are drawn: drawing them less
            equalises training, and archs with them no longer set what all others adapt to
            (docs/ranking.md).

    Raises:
        InputError: Before training, a model without a supernet, or not one number of at least 0 per
            candidate.
    """

    def __init__(
        self,
        seed: int = 0,
        probabilities: Sequence[float] | Sequence[Sequence[float]] | None = None,
    ) -> None:
        self.seed = seed
        self.probabilities = probabilities
        self._slots: list[np.ndarray] | None = None

    def before_train(self, runner: Runner) -> None:
        self.slots(supernet_of(runner.model).space)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | tuple | list | None = None
    ) -> None:
        backbone = supernet_of(runner.model)
        backbone.set_arch(self.arch(backbone.space, runner.iter))

    def arch(self, space: SearchSpace, iteration: int) -> Arch:
        """The arch of an iteration."""
        return space.sample(arch_rng(self.seed, iteration), self.slots(space))

    def slots(self, space: SearchSpace) -> list[np.ndarray] | None:
        """Every slot's probabilities, or None where they are uniform."""
        if self._slots is None and self.probabilities is not None:  # once, not at every iteration
            self._slots = space.slot_probabilities(
                self.probabilities, 'probabilities of ArchSamplingHook'
            )
        return self._slots
