"""EfficientNet-Lite0 (the network of Tan and Le, ICML 2019, table 1, without squeeze-and-excitation
and with ReLU6) whose stages may be shallower, whose blocks may expand less and whose kernels may
be smaller: every arch is a part of the network that people have weights of."""

from .elastic import elastic_space, expansions, kernels
from .known import register_space

EXPANSIONS = expansions(3, 4, 6)
# Where the network has kernels of 5.
WITH_KERNELS = [EXPANSIONS, kernels(3, 5)]

# Of every stage half of the blocks, three quarters or all run. The first stage's block does not
# expand, and its kernel is 3: it has no choice.
ELASTIC_EFFICIENTNET_LITE0 = register_space(
    elastic_space(
        'elastic_efficientnet_lite0',
        [(1,), (1, 2), (1, 2), (1, 2, 3), (1, 2, 3), (2, 3, 4), (1,)],
        [EXPANSIONS],
        channels=(16, 24, 40, 80, 112, 192, 320),
        strides=(1, 2, 2, 2, 1, 2, 1),
        stem_channels=32,
        tail_channels=1280,
        stage_choices={0: [], 2: WITH_KERNELS, 4: WITH_KERNELS, 5: WITH_KERNELS},
    )
)
