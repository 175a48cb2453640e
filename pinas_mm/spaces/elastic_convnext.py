"""ConvNeXts (Liu et al., "A ConvNet for the 2020s", CVPR 2022) whose stages may be shallower, and
whose blocks may have a smaller kernel and a narrower MLP: every arch is a part of the network that
people have weights of."""

from .elastic import ElasticSpace, elastic_space, kernels, widths
from .known import register_space

# Blocks and channels of the four stages.
SIZES = {
    'tiny': ((3, 3, 9, 3), (96, 192, 384, 768)),
    'small': ((3, 3, 27, 3), (96, 192, 384, 768)),
    'base': ((3, 3, 27, 3), (128, 256, 512, 1024)),
}


def _space(size: str) -> ElasticSpace:
    """Of every stage half of the blocks, three quarters or all run; of every block the centre of
    the depthwise kernel, 3 or 5 wide or all 7, and half of the MLP's inner channels, three quarters
    or all (an MLP ratio of 2, 3 or 4). Three candidates each, so that strict fairness can train
    it."""
    blocks, channels = SIZES[size]
    return register_space(
        elastic_space(
            f'elastic_convnext_{size}',
            [(count // 2, 3 * count // 4, count) for count in blocks],
            [kernels(3, 5, 7), widths(0.5, 0.75, 1)],
            channels=channels,
            strides=(1, 2, 2, 2),
            stem_channels=channels[0],
        )
    )


ELASTIC_CONVNEXTS = {size: _space(size) for size in SIZES}
