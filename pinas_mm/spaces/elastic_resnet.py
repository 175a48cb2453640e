"""ResNets (He et al., CVPR 2016) whose stages may be shallower and whose blocks may be narrower
inside: every arch is a part of the network that people have weights of."""

from .elastic import ElasticSpace, elastic_space, widths
from .known import register_space

# Blocks of the four stages, and how many times the width of a block its output is.
STAGES = {
    18: ((2, 2, 2, 2), 1),
    34: ((3, 4, 6, 3), 1),
    50: ((3, 4, 6, 3), 4),
    101: ((3, 4, 23, 3), 4),
}


def _space(depth: int) -> ElasticSpace:
    """Of every stage half of the blocks, three quarters or all run, of every block half of the
    inner channels, three quarters or all. Three candidates each, so that strict fairness can train
    it; where halves and quarters are equal (stages of two blocks), fewer."""
    blocks, expansion = STAGES[depth]
    return register_space(
        elastic_space(
            f'elastic_resnet{depth}',
            [sorted({count // 2, 3 * count // 4, count}) for count in blocks],
            [widths(0.5, 0.75, 1)],
            channels=[64 * expansion * 2**stage for stage in range(4)],
            strides=(1, 2, 2, 2),
            stem_channels=64,
        )
    )


ELASTIC_RESNETS = {depth: _space(depth) for depth in STAGES}
