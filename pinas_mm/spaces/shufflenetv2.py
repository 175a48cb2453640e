"""The space of single path one shot (Guo et al., ECCV 2020) and DSNAS (Hu et al., CVPR 2020): 20
blocks in the manner of ShuffleNetV2."""

from .base import Candidate, SearchSpace, chain
from .known import register_space

DEPTHS = (4, 4, 8, 4)

CANDIDATES = (
    *(
        Candidate(f'shuffle_{size}x{size}', dict(kind='shuffle', kernel_size=size))
        for size in (3, 5, 7)
    ),
    Candidate('shuffle_xception', dict(kind='xception', kernel_size=3)),
)

SHUFFLENETV2 = register_space(
    SearchSpace(
        name='shufflenetv2',
        candidates=(CANDIDATES,) * sum(DEPTHS),
        positions=chain(DEPTHS, channels=(64, 160, 320, 640), strides=(2, 2, 2, 2), in_channels=16),
        stem_channels=16,
        tail_channels=1024,
    )
)
