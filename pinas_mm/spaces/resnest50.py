"""The Pi-NAS space: a ResNeSt-50 whose 16 bottlenecks each choose radix, groups and base width
(Peng et al., ICCV 2021)."""

from .base import Candidate, SearchSpace, chain
from .known import register_space

DEPTHS = (3, 4, 6, 3)


def _split_attention(radix: int, groups: int, base_width: int) -> Candidate:
    return Candidate(
        f'radix{radix}_groups{groups}_width{base_width}',
        dict(radix=radix, groups=groups, base_width=base_width),
    )


CANDIDATES = (
    _split_attention(1, 1, 64),
    _split_attention(2, 1, 64),
    _split_attention(1, 2, 42),
    _split_attention(2, 2, 40),
)

RESNEST50 = register_space(
    SearchSpace(
        name='resnest50',
        candidates=(CANDIDATES,) * sum(DEPTHS),
        positions=chain(
            DEPTHS, channels=(256, 512, 1024, 2048), strides=(1, 2, 2, 2), in_channels=64
        ),
        stem_channels=64,
    )
)
