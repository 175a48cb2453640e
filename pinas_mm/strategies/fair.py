"""Strict fairness (Chu et al., "FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural
Architecture Search", ICCV 2021)."""

from collections.abc import Iterator

from ..errors import InputError
from ..private_api import run_forward
from ..registry import MODELS
from ..schema import Seed, WholeNumber
from ..spaces import Arch
from .base import DrawnArchsStrategy, Pass


@MODELS.register_module()
class FairStrategy(DrawnArchsStrategy):
    """Per step, every candidate of every slot runs exactly once on the same batch; the gradients
    are summed for one update (section 3, "strict fairness").

    With m candidates a slot these are m paths, no two of which share a candidate; what is not
    chosen (stem, tail, head) gets the sum of m gradients. Works around any mm model.

    Args:
        model, arch_seed, data_preprocessor: See :class:`Strategy`.
        shared_slot: A slot in which all paths of a step have one and the same candidate, drawn
            uniformly, as the authors of :class:`SubnetAwareOptimWrapper` train FairNAS with their
            groups: fair in this slot on average only. None is strictly fair.

    Raises:
        InputError: Slots with different numbers of candidates, no slot ``shared_slot``, or see
            :class:`Strategy`.
    """

    def __init__(
        self,
        model: dict,
        arch_seed: Seed = 0,
        data_preprocessor: dict | None = None,
        shared_slot: WholeNumber | None = None,
    ) -> None:
        super().__init__(model, arch_seed, data_preprocessor)
        if shared_slot is not None and not 0 <= shared_slot < self.space.num_slots:
            raise InputError(
                f'FairStrategy: shared_slot={shared_slot!r}, but space {self.space.name!r} has '
                f'slots '
                f'0 to {self.space.num_slots - 1}'
            )
        self.shared_slot = shared_slot
        if len(set(self.space.num_candidates)) > 1:
            raise InputError(
                f'FairStrategy runs every candidate of every slot once per step, but the slots of '
                f'space {self.space.name!r} '
                f'have different numbers of candidates: {self.space.num_candidates}; expected '
                f'SandwichStrategy, FeatureSandwichStrategy or ArchSamplingHook (uniform)'
            )

    def draw_archs(self, step: int | None = None) -> list[Arch]:
        """Per slot, a random permutation of its candidates."""
        archs = self.space.sample_disjoint(self.arch_rng(step=step), self.space.num_candidates[0])
        if self.shared_slot is None:
            return archs
        slot, candidate = self.shared_slot, archs[0][self.shared_slot]
        return [(*arch[:slot], candidate, *arch[slot + 1 :]) for arch in archs]

    def passes(self, data: dict | tuple | list) -> Iterator[Pass]:
        for arch in self.draw_archs():
            self.backbone.set_arch(arch)
            yield arch, run_forward(self.model, data, 'loss')
