"""The sandwich rule with in-place distillation (Yu et al., "BigNAS: Scaling Up Neural Architecture
Search with Big Single-Stage Models", ECCV 2020)."""

from collections.abc import Iterator

import numpy as np

from ..costs import CostTable, measure_costs
from ..errors import InputError
from ..registry import MODELS
from ..schema import Count, Seed, WholeNumber
from ..spaces import Arch
from ..spaces.elastic import ElasticSpace
from .base import DrawnArchsStrategy, Pass
from .classifier import ClassifierStrategy, soft_divergence


class SandwichRule(DrawnArchsStrategy):
    """Per step the largest arch, the smallest one and some random ones; a subclass says what they
    learn.

    Args:
        model, arch_seed, data_preprocessor: See :class:`Strategy`.
        input_size: Height and width in pixels, or one number for both, of the images with which
            MACs are counted. An elastic space needs none: it knows its largest and smallest arch.
        num_random: Random archs per step, 2 as in the sandwich rule (Yu and Huang, "Universally
            Slimmable Networks", ICCV 2019).

    Attributes:
        largest, smallest: The archs of the most and the fewest MACs.

    Raises:
        InputError: The space has no largest or smallest arch (:func:`extreme_archs`), no
            ``input_size`` where candidates have to be compared, or see :class:`Strategy`.
    """

    def __init__(
        self,
        model: dict,
        input_size: Count | tuple[Count, Count] | None = None,
        num_random: WholeNumber = 2,
        arch_seed: Seed = 0,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(model, arch_seed, data_preprocessor)
        space = self.space
        if isinstance(space, ElasticSpace):
            self.smallest, self.largest = space.smallest, space.largest
        elif input_size is None:
            raise InputError(
                f'{type(self).__name__}: expected model.input_size, such as 224, to tell the '
                f'largest and the smallest arch of space {space.name!r} by their MACs'
            )
        else:
            self.smallest, self.largest = extreme_archs(measure_costs(self.backbone, input_size))
        self.num_random = num_random

    def draw_archs(self, step: int | None = None) -> list[Arch]:
        """The largest arch, the smallest, the random ones."""
        rng = self.arch_rng(step=step)
        return [
            self.largest,
            self.smallest,
            *(self.space.sample(rng) for _ in range(self.num_random)),
        ]


@MODELS.register_module()
class SandwichStrategy(SandwichRule, ClassifierStrategy):
    """For classifiers: the largest arch learns from the labels, and the others from the soft
    predictions of the largest on the same batch, through which no gradient goes (section 3.1). The
    gradients are summed for one update.

    Args:
        model: An ``ImageClassifier``; see :class:`Strategy`.
        kwargs: See :class:`SandwichRule`.

    Raises:
        InputError: No classifier, or see :class:`SandwichRule`.
    """

    def passes(self, data: dict) -> Iterator[Pass]:
        largest, *others = self.draw_archs()
        self.backbone.set_arch(largest)
        features = self.model.extract_feat(data['inputs'])
        target = self.logits(features).detach()
        yield largest, self.label_losses(features, data['data_samples'])
        for arch in others:
            self.backbone.set_arch(arch)
            logits = self.logits(self.model.extract_feat(data['inputs']))
            yield arch, dict(loss_distillation=soft_divergence(logits, target))


def extreme_archs(costs: CostTable) -> tuple[Arch, Arch]:
    """The smallest and the largest arch of a space: in every slot the candidate with the fewest or
    the most MACs, and parameters.

    Args:
        costs: The MACs and parameters of the space.

    Raises:
        InputError: Candidates of a slot tie, or are ordered otherwise by their parameters than by
            their MACs, or positions read several slots together.
    """
    space = costs.space
    chosen: dict[str, list[int]] = {'smallest': [], 'largest': []}
    of_slots = {name: costs.slot_costs(name) for name in ('macs', 'params')}
    for slot, candidates in enumerate(space.candidates):
        sizes = {name: slots[slot] - slots[slot].min() for name, slots in of_slots.items()}
        for which, arch in chosen.items():
            extreme = np.min if which == 'smallest' else np.max
            best = np.flatnonzero(
                np.logical_and.reduce([size == extreme(size) for size in sizes.values()])
            )
            if len(best) != 1:
                listing = ', '.join(
                    f'{candidate.name} {sizes["macs"][i]:+,.0f} MACs {sizes["params"][i]:+,.0f} '
                    f'parameters'
                    for i, candidate in enumerate(candidates)
                )
                raise InputError(
                    f'space {space.name!r} has no {which} arch, which the sandwich rule needs: '
                    f'slot {slot} has no one '
                    f'candidate that is {which} in MACs and in parameters ({listing})'
                )
            arch.append(int(best[0]))
    return tuple(chosen['smallest']), tuple(chosen['largest'])
