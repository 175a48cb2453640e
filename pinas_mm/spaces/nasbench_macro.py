"""The space of NAS-Bench-Macro: 8 positions, each identity or one of two inverted residuals (Su et
al., CVPR 2021)."""

from dataclasses import dataclass

from .base import Arch, Candidate, SearchSpace, chain
from .known import register_space

DEPTHS = (2, 3, 3)

# Where a position changes the shape, 'identity' is a strided 1x1 convolution with BN.
IDENTITY = 0
CANDIDATES = (
    Candidate('identity', dict(kind='identity')),
    Candidate('mb3_k3', dict(kind='inverted_residual', kernel_size=3, expansion=3)),
    Candidate('mb6_k5', dict(kind='inverted_residual', kernel_size=5, expansion=6)),
)


@dataclass(frozen=True)
class MacroSpace(SearchSpace):
    """Adds to :class:`SearchSpace` what identities do to it: 6,561 archs are only 3,969 distinct
    networks."""

    def canonical(self, arch: Arch) -> Arch:
        """Moves true identities behind the other choices of their stage: such positions have equal
        shapes, so they commute."""
        out: list[int] = []
        for stage in range(self.num_stages):
            slots = [i for i, position in enumerate(self.positions) if position.stage == stage]
            fixed = [i for i in slots if self.positions[i].changes_shape]
            free = sorted(
                (arch[i] for i in slots[len(fixed) :]), key=lambda choice: choice == IDENTITY
            )
            out += [arch[i] for i in fixed] + free
        return tuple(out)


NASBENCH_MACRO = register_space(
    MacroSpace(
        name='nasbench_macro',
        candidates=(CANDIDATES,) * sum(DEPTHS),
        positions=chain(DEPTHS, channels=(64, 128, 256), strides=(2, 2, 2), in_channels=32),
        stem_channels=32,
        tail_channels=1280,
    )
)
