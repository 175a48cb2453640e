"""How many layers an arch has."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ...models.backbones import ArchBackbone
from ...spaces import Arch, SearchSpace
from ...spaces.elastic import ElasticSpace
from .registration import TrainingFreeScore, register_training_free

# Kinds of candidates that add no layer to a network.
WITHOUT_LAYER = ('identity', 'none', 'skip', 'pool')


def depth(space: SearchSpace, archs: Sequence[Arch]) -> np.ndarray:
    """How many slots of each arch hold a candidate that adds a layer, ``(len(archs), )`` ints.

    An identity is none, also where the change of shape makes it a strided convolution. In an
    elastic space it is how many blocks run.
    """
    if isinstance(space, ElasticSpace):
        positions = range(len(space.positions))
        return np.array(
            [sum(space.choice(index, arch) is not None for index in positions) for arch in archs]
        )
    layers = [
        np.array([candidate.block.get('kind') not in WITHOUT_LAYER for candidate in slot], int)
        for slot in space.candidates
    ]
    return sum(layer[np.asarray(archs)[:, slot]] for slot, layer in enumerate(layers))


@register_training_free('depth')
class Depth(TrainingFreeScore):
    """:func:`depth`; it needs no network."""

    def __init__(self, backbone: ArchBackbone, images: Tensor, seed: int = 0) -> None:
        self.space = backbone.space

    def __call__(self, arch: Arch) -> dict[str, float]:
        return dict(depth=float(depth(self.space, [arch])[0]))
