"""A small network of which every arch runs a part: depth, width and kernel size."""

from mmengine.registry import MODELS
from torch import nn

from pinas_mm.models.backbones import ElasticBackbone
from pinas_mm.models.backbones.elastic import ElasticBlock, InnerChannels
from pinas_mm.spaces.elastic import elastic_space, kernels, widths

# Stages of up to 2 and 3 blocks; slots: depth, then width and kernel of every block, per stage.
TINY = elastic_space(
    'tiny_elastic',
    [(1, 2), (1, 2, 3)],
    [widths(0.5, 1), kernels(3, 5)],
    channels=(8, 12),
    strides=(2, 2),
    stem_channels=4,
    tail_channels=20,
)


class Block(nn.Module):
    """1x1, depthwise and 1x1 convolution, with a shortcut where the shape allows it."""

    def __init__(self, in_channels, out_channels, stride, groups=1, norm=nn.BatchNorm2d):
        super().__init__()
        inner = 2 * out_channels
        self.expand = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.norm1 = norm(inner)
        self.depthwise = nn.Conv2d(inner, inner, 5, stride, padding=2, groups=groups or inner)
        self.norm2 = norm(inner)
        self.project = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(out_channels)
        self.act = nn.ReLU()
        self.shortcut = in_channels == out_channels and stride == 1

    def forward(self, x):
        out = self.act(self.norm1(self.expand(x)))
        out = self.act(self.norm2(self.depthwise(out)))
        out = self.norm3(self.project(out))
        return x + out if self.shortcut else out


class Network(nn.Module):
    def __init__(self, in_channels=3, groups=0, norm=nn.BatchNorm2d):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_channels, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.blocks = nn.ModuleList(
            Block(position.in_channels, position.out_channels, position.stride, groups, norm)
            for position in TINY.positions
        )
        self.tail = nn.Sequential(nn.Conv2d(12, 20, 1), nn.BatchNorm2d(20), nn.ReLU())

    def forward(self, x):
        """The maps of both stages and of the tail."""
        x, maps = self.stem(x), []
        for index, block in enumerate(self.blocks):
            x = block(x)
            maps += [x] if index in (1, 4) else []
        return *maps, self.tail(x)


@MODELS.register_module()
class TinyElastic(ElasticBackbone):
    """Args:
    groups: Of the blocks' middle convolutions; 0 for depthwise ones.
    norm: Of the inner channels.
    """

    space = TINY
    stem_names, tail_names = ('stem',), ('tail',)

    def __init__(self, groups=0, norm=nn.BatchNorm2d, **kwargs):
        self.groups, self.norm = groups, norm
        super().__init__(**kwargs)

    def build_network(self):
        return Network(self.in_channels, self.groups, self.norm)

    def block(self, index):
        # What the middle convolution writes is what it reads, group by group.
        inner = InnerChannels(('expand', 'norm1', 'depthwise', 'norm2'), ('project',))
        return ElasticBlock(f'blocks.{index}', (inner,), ('depthwise',))

    def residual_norms(self):
        return (block.norm3 for block in self.blocks if block.shortcut)
