"""The sandwich rule (Yu et al., "BigNAS", ECCV 2020) where a model gives no class scores: in-place
distillation through feature maps (Cao et al., "PKD: General Distillation Framework for Object
Detectors via Pearson Correlation Coefficient", NeurIPS 2022)."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmpretrain.models import BaseClassifier
from torch import Tensor, nn

from ..errors import InputError
from ..private_api import run_forward
from ..registry import MODELS
from ..schema import Count, NotNegative, Seed, WholeNumber
from ..spaces import Arch
from .base import Pass
from .sandwich import SandwichRule

# Of a channel's variance: one that is constant, as after a dead ReLU, has a finite gradient.
EPSILON = 1e-5


@MODELS.register_module()
class FeatureSandwichStrategy(SandwichRule):
    """For any detector or segmentor: all archs learn from the ground truth by the model's own
    losses, and all but the largest also from the feature maps of the largest on the same batch,
    through which no gradient goes. The gradients are summed for one update.

    The maps are those that heads read: the neck's, or the backbone's where there is no neck. They
    agree by their correlation (:func:`disagreement`), not by their values: a narrow arch may have
    maps of another scale, and a channel or a level of large values would outweigh the others
    (PKD).

    Args:
        model, input_size, num_random, arch_seed, data_preprocessor: See :class:`SandwichRule`.
        distillation: Weight of the disagreement, which lies between 0 and 2, beside the model's own
            losses. At 1 its gradient is the smaller part: a seventh to a quarter of theirs in a
            small RetinaNet after 80 to 160 steps. The published code has 6 to 10 for every map,
            but from a teacher that does not learn; here what pulls narrow archs pulls weights of
            the largest too.

    Raises:
        InputError: A classifier, for which there is :class:`SandwichStrategy`; a neck that gives
            something else than feature maps or is not used, at the first step; or see
            :class:`SandwichRule`.
    """

    def __init__(
        self,
        model: dict,
        input_size: Count | tuple[Count, Count] | None = None,
        num_random: WholeNumber = 2,
        distillation: NotNegative = 1.0,
        arch_seed: Seed = 0,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(model, input_size, num_random, arch_seed, data_preprocessor)
        if isinstance(self.model, BaseClassifier):
            raise InputError(
                f'{type(self).__name__} compares the feature maps that heads of detectors and '
                f'segmentors read, but its model is a {type(self.model).__name__}: expected '
                f'SandwichStrategy, which compares class scores'
            )
        self.distillation = distillation

    def passes(self, data: dict | tuple | list) -> Iterator[Pass]:
        largest, *others = self.draw_archs()
        losses, maps = self.losses_and_maps(largest, data)
        target = [x.detach() for x in maps]
        del maps  # they would keep the graph of the largest arch
        yield largest, losses
        for arch in others:
            losses, maps = self.losses_and_maps(arch, data)
            yield (
                arch,
                losses | dict(loss_distillation=self.distillation * disagreement(maps, target)),
            )

    def losses_and_maps(self, arch: Arch, data: Any) -> tuple[dict[str, Tensor], list[Tensor]]:
        """The model's own losses along ``arch``, and the feature maps that its heads read, each
        normalised (:func:`normalised`)."""
        neck = getattr(self.model, 'neck', None)
        source: nn.Module = self.model.backbone if neck is None else neck
        maps: list[Tensor] = []

        # Normalised at once: a head may change the maps in place.
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            maps.extend(normalised(x) for x in _feature_maps(output, type(self).__name__, module))

        self.backbone.set_arch(arch)
        hook = source.register_forward_hook(keep)
        try:
            losses = run_forward(self.model, data, 'loss')
        finally:
            hook.remove()
        if not maps:
            raise InputError(
                f'{type(self).__name__}: {type(self.model).__name__} computes its losses without '
                f'its {type(source).__name__}: expected a detector or segmentor whose heads read '
                f'its maps; FairStrategy works with any model'
            )
        return losses, maps


def normalised(x: Tensor) -> Tensor:
    """A feature map ``(N, C, H, W)``, every channel of mean 0 and variance 1 over images and
    pixels, in float32."""
    variance, mean = torch.var_mean(x.float(), dim=(0, 2, 3), keepdim=True, correction=0)
    return (x.float() - mean) * (variance + EPSILON).rsqrt()


def disagreement(maps: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """One minus the correlation of two maps, the mean over their channels and over all maps: 0
    where they agree, 1 where they have nothing in common. Half the mean squared difference of
    normalised maps is the same.

    Args:
        maps, target: Feature maps ``(N, C_i, H_i, W_i)``, :func:`normalised`.
    """
    return torch.stack(
        [(x - y).square().mean() / 2 for x, y in zip(maps, target, strict=True)]
    ).mean()


def _feature_maps(output: Any, strategy: str, module: nn.Module) -> Sequence[Tensor]:
    maps = [output] if isinstance(output, Tensor) else output
    if isinstance(maps, list | tuple) and maps:
        if all(isinstance(x, Tensor) and x.ndim == 4 for x in maps):
            return maps
    raise InputError(
        f'{strategy}: the {type(module).__name__} of its model returns something else than feature '
        f'maps (N, C, H, W): expected a neck of a detector or segmentor; FairStrategy works with '
        f'any model'
    )
