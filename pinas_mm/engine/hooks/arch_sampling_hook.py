"""Turns the training of any mm model with a searchable backbone into single-path supernet
training."""

from collections.abc import Sequence

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...costs import CostTable, measure_costs
from ...errors import InputError
from ...models.backbones import supernet_of
from ...registry import HOOKS
from ...schema import Count, NotNegative, Number, Seed
from ...spaces import Arch, SearchSpace, arch_rng

# Archs drawn for a bin of costs before any arch is taken, as in SPOS' published code.
MAX_DRAWS = 500


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
        cost_bins: Draws archs of certain costs only: a cost of the whole model and the edges of
            its bins, ``dict(macs=[290e6, 300e6, 310e6])``; two edges are plain limits. A bin is
            drawn uniformly, then archs until one lies within it: so Guo et al.'s published code
            trains what its search may find, the heaviest as often as the lightest. After 500 archs
            any is taken.
        input_size: Height and width of the images whose costs are measured, or one number for both;
            with ``cost_bins``.

    Raises:
        InputError: Bins that are none, and before training a model without a supernet, not one
            number of at least 0 per candidate, an unknown cost, or a bin beyond all archs.
    """

    def __init__(
        self,
        seed: Seed = 0,
        probabilities: Sequence[NotNegative] | Sequence[Sequence[NotNegative]] | None = None,
        cost_bins: dict[str, Sequence[Number]] | None = None,
        input_size: Count | tuple[Count, Count] | None = None,
    ) -> None:
        self.seed = seed
        self.probabilities = probabilities
        self._slots: list[np.ndarray] | None = None
        if cost_bins is not None:
            if len(cost_bins) != 1 or not all(
                len(edges) > 1 and all(low < high for low, high in zip(edges, edges[1:]))
                for edges in cost_bins.values()
            ):
                raise InputError(
                    f'cost_bins={cost_bins} of ArchSamplingHook: expected one cost with two or '
                    f'more rising edges, such as dict(macs=[290e6, 300e6])'
                )
            if input_size is None:
                raise InputError(
                    'cost_bins of ArchSamplingHook: give input_size too, the images whose costs '
                    'are measured'
                )
        self.cost_bins = cost_bins
        self.input_size = input_size
        self._table: CostTable | None = None

    def before_train(self, runner: Runner) -> None:
        space = supernet_of(runner.model).space
        self.slots(space)
        if self.cost_bins is None or self.input_size is None:
            return
        self._table = measure_costs(runner.model, self.input_size)
        ((cost, edges),) = self.cost_bins.items()
        self._table.array(cost, [space.sample(arch_rng(self.seed, 0))])  # refuses an unknown cost
        least, most = self._table.range(cost)
        for low, high in zip(edges, edges[1:]):
            if high < least or low > most:
                raise InputError(
                    f'cost_bins of ArchSamplingHook: no arch of {space.name} has {cost} from '
                    f'{low:.0f} to {high:.0f}, they are from {least:.0f} to {most:.0f}'
                )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | tuple | list | None = None
    ) -> None:
        backbone = supernet_of(runner.model)
        backbone.set_arch(self.arch(backbone.space, runner.iter))

    def arch(self, space: SearchSpace, iteration: int) -> Arch:
        """The arch of an iteration."""
        rng, slots = arch_rng(self.seed, iteration), self.slots(space)
        if self._table is None or self.cost_bins is None:
            return space.sample(rng, slots)
        ((name, edges),) = self.cost_bins.items()
        index = int(rng.integers(len(edges) - 1))
        for _ in range(MAX_DRAWS):
            arch = space.sample(rng, slots)
            if edges[index] <= self._table.array(name, [arch])[0] <= edges[index + 1]:
                return arch
        return space.sample(rng, slots)

    def slots(self, space: SearchSpace) -> list[np.ndarray] | None:
        """Every slot's probabilities, or None where they are uniform."""
        if self._slots is None and self.probabilities is not None:  # once, not at every iteration
            self._slots = space.slot_probabilities(
                self.probabilities, 'probabilities of ArchSamplingHook'
            )
        return self._slots
