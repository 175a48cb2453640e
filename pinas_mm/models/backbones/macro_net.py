"""The network of NAS-Bench-Macro (Su et al., CVPR 2021) with a choice per position."""

from collections.abc import Iterator
from functools import partial

from mmpretrain.models.utils import InvertedResidual
from torch import nn

from ...registry import MODELS
from ...spaces import Candidate, Position
from ...spaces.nasbench_macro import NASBENCH_MACRO
from ..strided_pointwise_conv import BLOCK, StridedPointwiseConv2d
from .searchable import SearchableBackbone


@MODELS.register_module()
class SearchableMacroNet(SearchableBackbone):
    """The ``nasbench_macro`` space as supernet or subnet, for images of about 32 pixels.

    A 3x3 stem of stride 1; 8 positions in stages of 2, 3, 3, each stage's first with stride 2; a
    1x1 convolution to 1280 as tail."""

    space = NASBENCH_MACRO

    def build_stem(self) -> nn.Module:
        width = self.channels(self.space.stem_channels)
        return nn.Sequential(
            self.conv(self.in_channels, width, 3, padding=1),
            self.norm(width),
            nn.ReLU(inplace=True),
        )

    def build_candidate(self, position: Position, candidate: Candidate) -> nn.Module:
        in_channels, out_channels = (
            self.channels(position.in_channels),
            self.channels(position.out_channels),
        )
        if candidate.block['kind'] == 'inverted_residual':
            return InvertedResidual(
                in_channels,
                out_channels,
                in_channels * candidate.block['expansion'],
                candidate.block['kernel_size'],
                position.stride,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
            )
        if position.changes_shape:
            conv = (
                self.conv
                if in_channels >= BLOCK or self.conv_cfg
                else partial(StridedPointwiseConv2d, kernel_size=1, bias=False)
            )
            return nn.Sequential(
                conv(in_channels, out_channels, stride=position.stride), self.norm(out_channels)
            )
        return nn.Identity()

    def build_tail(self) -> nn.Module:
        out_channels = self.channels(self.space.tail_channels)
        return nn.Sequential(
            self.conv(self.channels(self.space.positions[-1].out_channels), out_channels),
            self.norm(out_channels),
            nn.ReLU(inplace=True),
        )

    def residual_norms(self) -> Iterator[nn.Module]:
        return (
            module.linear_conv.norm
            for module in self.modules()
            if isinstance(module, InvertedResidual) and module.with_res_shortcut
        )
