"""EfficientNet-Lite0 as people scale it by hand: so many blocks of every stage, and one expansion
everywhere. Its archs have the pretrained weights, as those of a search have."""

from pinas_mm.models.backbones import ElasticEfficientNetLite0
from pinas_mm.registry import MODELS
from pinas_mm.spaces import Arch, register_space
from pinas_mm.spaces.elastic import ElasticSpace, elastic_space, expansions, kernels

EXPANSIONS = (1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3, 5, 6)

HAND_SCALED: ElasticSpace = register_space(
    elastic_space(
        'hand_scaled_efficientnet_lite0',
        [(1,), (1, 2), (1, 2), (1, 2, 3), (1, 2, 3), (1, 2, 3, 4), (1,)],
        [expansions(*EXPANSIONS)],
        channels=(16, 24, 40, 80, 112, 192, 320),
        strides=(1, 2, 2, 2, 1, 2, 1),
        stem_channels=32,
        tail_channels=1280,
        # The kernels are the network's own, always.
        stage_choices={0: []} | dict.fromkeys((2, 4, 5), [expansions(*EXPANSIONS), kernels(3, 5)]),
    )
)


@MODELS.register_module()
class HandScaledEfficientNetLite0(ElasticEfficientNetLite0):
    """Inner channels in multiples of 8, as people choose them."""

    space = HAND_SCALED

    def num_channels(self, index: int, inner: object, full: int, width: float) -> int:
        return max(8, round(full * width / 8) * 8)


def hand_scaled(depth: float = 1, expansion: float = 6) -> Arch:
    """The arch with a share of the blocks of every stage, at least one, and one expansion."""
    chosen = []
    for candidates in HAND_SCALED.candidates:
        (kind,) = candidates[0].block
        if kind == 'depth':
            chosen.append(max(1, round(len(candidates) * depth)) - 1)
        else:
            chosen.append(EXPANSIONS.index(expansion) if kind == 'width' else len(candidates) - 1)
    return tuple(chosen)
