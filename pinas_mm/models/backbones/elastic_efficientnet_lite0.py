"""EfficientNet-Lite0 with a choice of depth, expansion and kernel size."""

from typing import Any

from mmcv.cnn import ConvModule
from mmpretrain.models.utils import InvertedResidual, make_divisible
from torch import nn

from ...registry import MODELS
from ...spaces.elastic_efficientnet_lite0 import ELASTIC_EFFICIENTNET_LITE0
from ..same_padding_conv import SamePaddingConv2d
from .elastic import ElasticBackbone, ElasticBlock, InnerChannels

# Of blocks that choose how much they expand; others do not expand.
EXPANSION = 6
# Of blocks that do not choose it.
KERNEL_SIZE = 3


@MODELS.register_module()
class ElasticEfficientNetLite0(ElasticBackbone):
    """EfficientNet-Lite0 as supernet or subnet: the first blocks of every stage run, of every block
    that expands its input the first inner channels, and of kernels of 5 the centre.

    The network is EfficientNet-B0 (Tan and Le, ICML 2019, table 1) without squeeze-and-excitation
    and with ReLU6. ``tools/convert.py`` reads published weights. The blocks are mmpretrain's, and
    so are their names.

    Args:
        conv_cfg: Defaults to convolutions that pad as TensorFlow's do, as the published weights
            were trained.
        norm_cfg: As in every mm backbone; ``eps`` is 1e-3 where it does not say otherwise, as the
            published weights were trained.
        kwargs: See :class:`ElasticBackbone`. The stages are those of the paper, seven, and 7 is the
            tail. ``widen_factor`` gives multiples of 8, and leaves stem and tail as they are, as in
            all EfficientNet-Lites. ``zero_init_residual`` changes nothing, as in mmpretrain's
            EfficientNet.
    """

    space = ELASTIC_EFFICIENTNET_LITE0
    stem_names, tail_names = ('conv1',), ('conv2',)

    def __init__(
        self, *args: Any, conv_cfg: dict | None = None, norm_cfg: dict | None = None, **kwargs: Any
    ) -> None:
        super().__init__(
            *args,
            conv_cfg=conv_cfg or dict(type=SamePaddingConv2d),
            norm_cfg=dict(eps=1e-3) | (norm_cfg or dict(type='BN', requires_grad=True)),
            **kwargs,
        )

    def build_network(self) -> nn.Module:
        layers = dict(conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=dict(type='ReLU6'))
        network, positions = nn.Module(), self.space.positions
        stem = self.channels(self.space.stem_channels)
        network.conv1 = ConvModule(self.in_channels, stem, 3, stride=2, padding=1, **layers)
        stages: list[list[nn.Module]] = [[] for _ in range(self.space.num_stages)]
        for index, position in enumerate(positions):
            whole = self.space.choice(index, self.space.largest) or {}
            in_channels = self.channels(position.in_channels)
            stages[position.stage].append(
                InvertedResidual(
                    in_channels,
                    self.channels(position.out_channels),
                    in_channels * (EXPANSION if 'width' in whole else 1),
                    whole.get('kernel_size', KERNEL_SIZE),
                    position.stride,
                    **layers,
                )
            )
        for stage, blocks in enumerate(stages):
            setattr(network, f'layer{stage + 1}', nn.Sequential(*blocks))
        last = self.channels(positions[-1].out_channels)
        network.conv2 = ConvModule(last, self.channels(self.space.tail_channels), 1, **layers)
        return network

    def block(self, index: int) -> ElasticBlock:
        stage = self.space.positions[index].stage
        name = f'layer{stage + 1}.{self.space.places[index]}'
        block = self.get_submodule(name)
        if not block.with_expand_conv:
            return ElasticBlock(name)
        writers = [
            f'{conv}.{layer}'
            for conv in ('expand_conv', 'depthwise_conv')
            for layer in ('conv', getattr(block, conv).norm_name)
        ]
        inner = InnerChannels(tuple(writers), ('linear_conv.conv',))
        return ElasticBlock(name, (inner,), kernels=('depthwise_conv.conv',))

    def channels(self, full: int | None) -> int:
        assert full is not None
        if full in (self.space.stem_channels, self.space.tail_channels):
            return full
        return make_divisible(full * self.widen_factor, 8)
