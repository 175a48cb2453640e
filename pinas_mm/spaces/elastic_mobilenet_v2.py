"""MobileNetV2 (Sandler et al., CVPR 2018, table 2) whose stages may be shallower and whose blocks
may expand less: every arch is a part of the network that people have weights of."""

from .elastic import elastic_space, expansions
from .known import register_space

# Of every stage half of the blocks, three quarters or all run; every block expands its input 3, 4
# or 6 times. The first stage's block does not expand, so it has no choice.
ELASTIC_MOBILENET_V2 = register_space(
    elastic_space(
        'elastic_mobilenet_v2',
        [(1,), (1, 2), (1, 2, 3), (2, 3, 4), (1, 2, 3), (1, 2, 3), (1,)],
        [expansions(3, 4, 6)],
        channels=(16, 24, 32, 64, 96, 160, 320),
        strides=(1, 2, 2, 2, 1, 2, 1),
        stem_channels=32,
        tail_channels=1280,
        stage_choices={0: []},
    )
)
