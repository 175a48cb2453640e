"""mmpretrain's ResNets with a choice of depth and width."""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar, Literal

from mmpretrain.models import ResNet
from mmpretrain.models.backbones.resnet import Bottleneck
from torch import nn

from ...errors import InputError
from ...registry import MODELS
from ...spaces.elastic import ElasticSpace
from ...spaces.elastic_resnet import ELASTIC_RESNETS
from .elastic import ElasticBlock, InnerChannels
from .elastic_family import ElasticFamily


@MODELS.register_module()
class ElasticResNet(ElasticFamily):
    """mmpretrain's ResNet-18, 34, 50 or 101 (He et al., CVPR 2016) as supernet or subnet: the first
    blocks of every stage run, and the first inner channels of every block; of a bottleneck those
    around its 3x3 convolution, of a basic block those between its two.

    Its parameters have mmpretrain's names: ``init_cfg=dict(type='Pretrained', checkpoint=...,
    prefix='backbone.')`` starts the search from a published checkpoint.

    Args:
        depth: Of the whole network. Defaults to that of the subnet file that ``arch`` names.
        strides, dilations: Of each stage, as in mm's ResNets: ``strides=(1, 2, 1, 1), dilations=(1,
            1, 2, 4)`` for output stride 8.
        style, deep_stem, avg_down: As in mmpretrain's ResNet: where its weights come from decides.
            These and the two above default to what the subnet file that ``arch`` names has.
        arch, kwargs: See :class:`ElasticBackbone`.

    Raises:
        InputError: No depth and no subnet file of a ResNet, or see :class:`ElasticBackbone`.
    """

    spaces: ClassVar[Mapping[int, ElasticSpace]] = ELASTIC_RESNETS
    size_key = 'depth'
    kept_arguments = ('strides', 'dilations', 'style', 'deep_stem', 'avg_down')

    def __init__(
        self,
        depth: Literal[18, 34, 50, 101] | None = None,
        arch: Sequence[int] | str | int | PathLike | None = None,
        *,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        style: Literal['pytorch', 'caffe'] = 'pytorch',
        deep_stem: bool = False,
        avg_down: bool = False,
        **kwargs: Any,
    ) -> None:
        self.depth = self.size_of(depth, arch)
        self.space = self.spaces[self.depth]
        self.strides, self.dilations = tuple(strides), tuple(dilations)
        for name in ('strides', 'dilations'):
            if len(getattr(self, name)) != self.space.num_stages:
                raise InputError(
                    f'{name}={getattr(self, name)} of {type(self).__name__}: expected '
                    f'{self.space.num_stages}, one per stage'
                )
        self.style, self.deep_stem, self.avg_down = style, deep_stem, avg_down
        super().__init__(arch, **kwargs)

    def build_network(self) -> nn.Module:
        network = ResNet(
            self.depth,
            in_channels=self.in_channels,
            stem_channels=self.channels(64),
            base_channels=self.channels(64),
            strides=self.strides,
            dilations=self.dilations,
            style=self.style,
            deep_stem=self.deep_stem,
            avg_down=self.avg_down,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
        )
        first = ['stem'] if self.deep_stem else ['conv1', network.norm1_name, 'relu']
        self.stem_names = (*first, 'maxpool')
        return network

    def block(self, index: int) -> ElasticBlock:
        stage = self.space.positions[index].stage
        name = f'layer{stage + 1}.{self.space.places[index]}'
        block = self.get_submodule(name)
        inner = [InnerChannels(('conv1', block.norm1_name), ('conv2',))]
        if isinstance(block, Bottleneck):
            inner.append(InnerChannels(('conv2', block.norm2_name), ('conv3',)))
        return ElasticBlock(name, tuple(inner))

    def residual_norms(self) -> Iterator[nn.Module]:
        for index in range(len(self.space.positions)):
            for block in self.part_modules(index + 1):
                last = 'norm3' if isinstance(block, Bottleneck) else 'norm2'
                yield getattr(block, last)
