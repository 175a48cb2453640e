"""The network of NAS-Bench-201 (Dong and Yang, ICLR 2020) with a choice per edge of its cell."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...registry import MODELS
from ...spaces import Arch, Candidate, Position
from ...spaces.nasbench201 import EDGES, NASBENCH201
from .searchable import SearchableBackbone


class Zero(nn.Module):
    """The operation ``none``: zeros of the input's shape, through which no gradient passes."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class ReductionBlock(nn.Module):
    """The residual block between two stages: ReLU-conv-BN twice, and as shortcut an average pool
    and a 1x1 convolution without BN.

    Args:
        first: ReLU-conv-BN with the stride and the change of channels.
        second: ReLU-conv-BN.
        shortcut: The shortcut.
    """

    def __init__(self, first: nn.Module, second: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.second(self.first(x))


@MODELS.register_module()
class SearchableNASBench201(SearchableBackbone):
    """The ``nasbench201`` space as supernet or subnet, for images of about 32 pixels.

    A 3x3 stem of stride 1; three stages of 5 cells, at stride 1, 2 and 4, with a residual block of
    stride 2 at the start of the second and the third; BN and ReLU as tail. All cells have the
    operations that the arch names, each with weights of its own:
    ``layers.{position}.{edge}.{candidate}``. Every edge runs, also one that leads nowhere, as in
    the published networks, whose parameters and FLOPs count them.

    ``zero_init_residual`` is about the two residual blocks: a cell is a sum without a shortcut that
    could be all that is left of it."""

    space = NASBENCH201

    def build_stem(self) -> nn.Module:
        width = self.channels(self.space.stem_channels)
        return nn.Sequential(self.conv(self.in_channels, width, 3, padding=1), self.norm(width))

    def build_position(self, position: Position) -> nn.ModuleDict:
        if not position.slots:
            return nn.ModuleDict(dict(block=self._build_reduction(position)))
        return nn.ModuleDict(
            {str(slot): self.build_candidates(position, slot) for slot in position.slots}
        )

    def build_candidate(self, position: Position, candidate: Candidate) -> nn.Module:
        match candidate.block['kind']:
            case 'none':
                return Zero()
            case 'skip':
                return nn.Identity()
            case 'pool':
                return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        return self._relu_conv_bn(
            position.in_channels, position.out_channels, candidate.block['kernel_size']
        )

    def build_tail(self) -> nn.Module:
        return nn.Sequential(
            self.norm(self.channels(self.space.tail_channels)), nn.ReLU(inplace=True)
        )

    def residual_norms(self) -> Iterator[nn.Module]:
        return (
            list(module.second.children())[-1]
            for module in self.modules()
            if isinstance(module, ReductionBlock)
        )

    def run(self, index: int, arch: Arch, x: Tensor) -> Tensor:
        if not self.space.positions[index].slots:
            return self.position(index)['block'](x)
        nodes = {0: x}
        for slot, ((source, end), edge) in enumerate(zip(EDGES, self.position_path(index, arch))):
            out = self.gated([slot], edge(nodes[source]))
            nodes[end] = nodes[end] + out if end in nodes else out
        return nodes[3]

    def position_path(self, index: int, arch: Arch) -> list[nn.Module]:
        modules, slots = self.position(index), self.space.positions[index].slots
        if not slots:
            return [modules['block']]
        return [modules.get_submodule(f'{slot}.{arch[slot]}') for slot in slots]

    def _build_reduction(self, position: Position) -> nn.Module:
        # Any size: of an odd one the stride of a convolution keeps the larger half, so does a pool
        # in ceil_mode.
        shortcut = nn.Sequential(
            nn.AvgPool2d(position.stride, position.stride, ceil_mode=True, count_include_pad=False),
            self.conv(self.channels(position.in_channels), self.channels(position.out_channels)),
        )
        return ReductionBlock(
            self._relu_conv_bn(position.in_channels, position.out_channels, 3, position.stride),
            self._relu_conv_bn(position.out_channels, position.out_channels, 3),
            shortcut,
        )

    def _relu_conv_bn(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
    ) -> nn.Module:
        """``in_channels`` and ``out_channels`` at full width; not in place, since other edges read
        the same input."""
        conv = self.conv(
            self.channels(in_channels),
            self.channels(out_channels),
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
        )
        return nn.Sequential(nn.ReLU(), conv, self.norm(self.channels(out_channels)))
