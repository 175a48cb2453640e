"""The MobileNetV3 of Once-for-All (Cai et al., ICLR 2020)."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from mmcv.cnn import ConvModule
from mmpretrain.models.utils import InvertedResidual, make_divisible
from torch import nn

from ...errors import InputError
from ...registry import MODELS
from ...spaces.elastic_mobilenet_v3 import ELASTIC_MOBILENET_V3
from .elastic import ElasticBackbone, ElasticBlock, InnerChannels

# Of the five stages: the activation, and whether blocks have squeeze-and-excitation.
ACTIVATIONS = ('ReLU', 'ReLU', 'HSwish', 'HSwish', 'HSwish')
SQUEEZES = (False, True, False, True, True)
# The most that a block expands its input, and its largest kernel.
EXPANSION, KERNEL_SIZE = 6, 7
# Of squeeze-and-excitation: the squeezed channels are a quarter of the block's inner ones.
SQUEEZE_RATIO = 4
# Every number of channels is a multiple of it.
DIVISOR = 8
_SQUEEZED = InnerChannels(('se.conv1.conv',), ('se.conv2.conv',))


@MODELS.register_module()
class ElasticMobileNetV3(ElasticBackbone):
    """The MobileNetV3 of Once-for-All (Cai et al., ICLR 2020) as supernet or subnet. It has other
    stages than mmpretrain's MobileNetV3, whose weights are not for it.

    A convolution to 16 channels and a fixed block; five stages, of which the first 2, 3 or 4 blocks
    run; of every block the first 3/6, 4/6 or all of the inner channels, and a depthwise convolution
    of size 3, 5 or 7, where learned matrices make the smaller kernels
    (:class:`~pinas_mm.models.backbones.elastic.KernelMatrices`). Squeezed channels are a quarter of
    the inner ones, to a multiple of 8. The tail is a 1x1 convolution to 960, global average pooling
    and one to 1280, so its map is of one pixel; a ``LinearClsHead`` follows. The blocks are
    mmpretrain's.

    ``tools/convert.py`` reads the published supernet, ``ofa_mbv3_d234_e346_k357_w1.0``; that of
    ``w1.2`` is ``widen_factor=1.2``.

    Args:
        strides: Of each stage. Defaults to the subnet file's, else as published, for images of
            about 128 to 224 pixels.
        kwargs: See :class:`ElasticBackbone`. ``widen_factor`` gives multiples of 8. Of
            ``out_indices`` 5 is the tail.

    Raises:
        InputError: Not one stride per stage, or see :class:`ElasticBackbone`.
    """

    space = ELASTIC_MOBILENET_V3
    stem_names = ('first_conv', 'first_block')
    kept_arguments = ('strides',)
    tail_names = ('final_expand', 'pool', 'feature_mix')

    def __init__(
        self, *args: Any, strides: Sequence[Literal[1, 2]] = (2, 2, 2, 1, 2), **kwargs: Any
    ) -> None:
        self.strides = tuple(strides)
        if len(self.strides) != self.space.num_stages:
            raise InputError(
                f'strides={self.strides} of {type(self).__name__}: expected '
                f'{self.space.num_stages}, one per stage'
            )
        super().__init__(*args, **kwargs)

    def build_network(self) -> nn.Module:
        network = nn.Module()
        stem = self.channels(self.space.stem_channels)
        network.first_conv = self._conv(self.in_channels, stem, 3, stride=2, padding=1)
        network.first_block = InvertedResidual(
            stem, stem, stem, conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg
        )
        stages = [nn.Sequential() for _ in self.strides]
        network.stages = nn.ModuleList(stages)
        for position, place in zip(self.space.positions, self.space.places):
            stage = position.stage
            in_channels = self.channels(position.in_channels)
            middle = EXPANSION * in_channels
            squeeze = dict(
                channels=middle,
                ratio=SQUEEZE_RATIO,
                divisor=DIVISOR,
                act_cfg=(dict(type='ReLU'), dict(type='HSigmoid')),
            )
            stages[stage].append(
                InvertedResidual(
                    in_channels,
                    self.channels(position.out_channels),
                    middle,
                    KERNEL_SIZE,
                    stride=1 if place else self.strides[stage],
                    se_cfg=squeeze if SQUEEZES[stage] else None,
                    conv_cfg=self.conv_cfg,
                    norm_cfg=self.norm_cfg,
                    act_cfg=dict(type=ACTIVATIONS[stage]),
                )
            )
        last, wide = self.channels(self.space.positions[-1].out_channels), self.channels(960)
        network.final_expand = self._conv(last, wide, 1)
        network.pool = nn.AdaptiveAvgPool2d(1)
        # No norm, since one pixel of one image has no statistics.
        network.feature_mix = ConvModule(
            wide,
            self.channels(self.space.tail_channels),
            1,
            bias=False,
            conv_cfg=self.conv_cfg,
            act_cfg=dict(type='HSwish'),
        )
        return network

    def block(self, index: int) -> ElasticBlock:
        name = f'stages.{self.space.positions[index].stage}.{self.space.places[index]}'
        module = self.get_submodule(name)
        writers = [
            f'{conv}.{layer}'
            for conv in ('expand_conv', 'depthwise_conv')
            for layer in ('conv', getattr(module, conv).norm_name)
        ]
        inner = [InnerChannels(tuple(writers), ('linear_conv.conv',))]
        if module.with_se:
            # Squeeze-and-excitation reads the channels and writes a factor for each.
            readers = ('linear_conv.conv', 'se.conv1.conv')
            inner = [InnerChannels((*writers, 'se.conv2.conv'), readers), _SQUEEZED]
        return ElasticBlock(name, tuple(inner), ('depthwise_conv.conv',), kernel_matrices=True)

    def num_channels(self, index: int, inner: InnerChannels, full: int, width: float) -> int:
        middle = EXPANSION * self.channels(self.space.positions[index].in_channels)
        count = super().num_channels(index, inner, middle, width)
        return make_divisible(count // SQUEEZE_RATIO, DIVISOR) if inner == _SQUEEZED else count

    def residual_norms(self) -> Iterator[nn.Module]:
        for block in self.modules():
            if isinstance(block, InvertedResidual) and block.with_res_shortcut:
                yield block.linear_conv.norm

    def channels(self, full: int | None) -> int:
        assert full is not None  # there is a tail
        return make_divisible(full * self.widen_factor, DIVISOR)

    def _conv(self, in_channels: int, out_channels: int, size: int, **kwargs: Any) -> ConvModule:
        return ConvModule(
            in_channels,
            out_channels,
            size,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=dict(type='HSwish'),
            **kwargs,
        )
