"""The MobileNetV3 of Once-for-All (Cai et al., ICLR 2020, section 4.1, d234_e346_k357): depth,
expansion and kernel sizes of 20 blocks."""

from .elastic import elastic_space, expansions, kernels
from .known import register_space

# Of every stage 2, 3 or 4 blocks run; every block expands its input 3, 4 or 6 times, and its
# depthwise convolution is of size 3, 5 or 7. 10^19 networks. Blocks of one stage have one shape but
# for the first.
ELASTIC_MOBILENET_V3 = register_space(
    elastic_space(
        'elastic_mobilenet_v3',
        [(2, 3, 4)] * 5,
        [expansions(3, 4, 6), kernels(3, 5, 7)],
        channels=(24, 40, 80, 112, 160),
        strides=(2, 2, 2, 1, 2),
        stem_channels=16,
        tail_channels=1280,
    )
)
