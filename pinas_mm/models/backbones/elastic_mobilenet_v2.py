"""mmpretrain's MobileNetV2 with a choice of depth and expansion."""

from typing import Any

from mmcv.cnn import ConvModule
from mmpretrain.models import MobileNetV2
from mmpretrain.models.utils import make_divisible
from torch import nn

from ...registry import MODELS
from ...spaces.elastic_mobilenet_v2 import ELASTIC_MOBILENET_V2
from .elastic import ElasticBackbone, ElasticBlock, InnerChannels


@MODELS.register_module()
class ElasticMobileNetV2(ElasticBackbone):
    """mmpretrain's MobileNetV2 (Sandler et al., CVPR 2018) as supernet or subnet: the first blocks
    of every stage run, and of every block that expands its input the first inner channels.

    Its parameters have mmpretrain's names: ``init_cfg=dict(type='Pretrained', checkpoint=...,
    prefix='backbone.')`` starts the search from a published checkpoint.

    Args:
        act_cfg: As in mmpretrain's MobileNetV2: where its weights come from decides.
        kwargs: See :class:`ElasticBackbone`. ``out_indices`` are mmpretrain's, 7 is the tail.
            ``widen_factor`` gives mmpretrain's numbers of channels, multiples of 8 and a tail of at
            least 1280. ``zero_init_residual`` changes nothing, as in mmpretrain.
    """

    space = ELASTIC_MOBILENET_V2
    stem_names, tail_names = ('conv1',), ('conv2',)

    def __init__(self, *args: Any, act_cfg: dict | None = None, **kwargs: Any) -> None:
        self.act_cfg = act_cfg or dict(type='ReLU6')
        super().__init__(*args, **kwargs)

    def build_network(self) -> nn.Module:
        layers = dict(conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        network = MobileNetV2(self.widen_factor, **layers)
        if self.in_channels != 3:
            network.conv1 = ConvModule(
                self.in_channels,
                self.channels(self.space.stem_channels),
                3,
                stride=2,
                padding=1,
                **layers,
            )
        return network

    def block(self, index: int) -> ElasticBlock:
        stage = self.space.positions[index].stage
        name = f'layer{stage + 1}.{self.space.places[index]}'
        convs = self.get_submodule(name).conv
        if len(convs) < 3:
            return ElasticBlock(name)
        writers = [
            f'conv.{number}.{layer}'
            for number in (0, 1)
            for layer in ('conv', convs[number].norm_name)
        ]
        return ElasticBlock(name, (InnerChannels(tuple(writers), ('conv.2.conv',)),))

    def channels(self, full: int | None) -> int:
        assert full is not None
        if full == self.space.tail_channels:
            return int(full * max(1.0, self.widen_factor))
        return make_divisible(full * self.widen_factor, 8)
