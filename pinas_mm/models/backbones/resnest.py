"""The Pi-NAS supernet: split-attention bottlenecks (ResNeSt, Zhang et al., 2020, section 3) with a
choice per position."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.dist import get_world_size
from mmpretrain.models.backbones.resnest import SplitAttentionConv2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...errors import InputError
from ...registry import MODELS
from ...spaces import Arch, Candidate, Position
from ...spaces.resnest50 import RESNEST50
from .searchable import SearchableBackbone

EXPANSION = 4


class SplitAttentionBottleneck(nn.Module):
    """1x1, split-attention 3x3, 1x1, around a shortcut that the caller hands in.

    mmpretrain's own ResNeSt block computes other widths where ``base_width`` is not 64, so this one
    is ours.

    Args:
        in_channels, out_channels: Channels of the block's input and output.
        radix, groups: Splits and cardinality of the 3x3.
        base_width: Width of the 3x3 per group: ``int(out_channels / 4 * base_width / 64) *
            groups``.
        stride: Done by a 3x3 average pool after the 3x3 ("avd", not "avd_first").
        dilation: Of the 3x3.
        pool: Whether that average pool is there although the stride is 1.
        owner: The backbone, for its convolutions and norms.

    Raises:
        InputError: These widths make a grouped convolution impossible.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        radix: int,
        groups: int,
        base_width: int,
        stride: int,
        dilation: int,
        pool: bool,
        owner: SearchableBackbone,
    ) -> None:
        super().__init__()
        width = int(out_channels // EXPANSION * base_width / 64) * groups
        attention = max(width * radix // 4, 32)
        for channels, parts, name in (
            (width, radix * groups, 'the 3x3 convolution'),
            (attention, groups, 'split attention'),
        ):
            if channels < parts or channels % parts:
                raise InputError(
                    f'{name} of a bottleneck to {out_channels} channels: {channels} channels in '
                    f'{parts} groups '
                    f'(radix {radix}, groups {groups}, base width {base_width}); choose another '
                    f'widen_factor'
                )
        self.conv1 = owner.conv(in_channels, width)
        self.bn1 = owner.norm(width)
        self.conv2 = SplitAttentionConv2d(
            width,
            width,
            3,
            padding=dilation,
            dilation=dilation,
            groups=groups,
            radix=radix,
            conv_cfg=owner.conv_cfg,
            norm_cfg=owner.norm_cfg,
        )
        self.avd = nn.AvgPool2d(3, stride, padding=1) if stride > 1 or pool else nn.Identity()
        self.conv3 = owner.conv(width, out_channels)
        self.bn3 = owner.norm(out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """``(N, in, H, W)`` and the shortcut ``(N, out, H / stride, W / stride)`` to the latter
        shape."""
        if self.conv2.norm1.training and len(x) == 1 and _is_alone(self.conv2.norm1):
            raise InputError(
                'a training batch of 1 image: split attention pools each channel to one value, '
                'and BN needs more than one to '
                'normalise by; raise batch_size (or drop_last=True for a last batch of one), use '
                'SyncBN on several GPUs, or '
                'norm_eval=True'
            )
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.avd(self.conv2(out))
        return self.relu(self.bn3(self.conv3(out)) + shortcut)


def _is_alone(norm: nn.Module) -> bool:
    """Whether a norm layer takes its statistics from this rank's batch alone."""
    return isinstance(norm, _BatchNorm) and not (
        isinstance(norm, nn.SyncBatchNorm) and get_world_size() > 1
    )


@MODELS.register_module()
class SearchableResNeSt(SearchableBackbone):
    """The ``resnest50`` space of Pi-NAS (Peng et al., ICCV 2021) as supernet or subnet.

    A deep stem of three 3x3 convolutions (32, 32, 64) and a max pool; 16 positions in stages of 3,
    4, 6, 3; average-pool shortcut projections.

    Args:
        strides, dilations: Of each stage, as in mm's ResNets: ``strides=(1, 2, 1, 1), dilations=(1,
            1, 2, 4)`` for output stride 8. Default to the space's strides, (1, 2, 2, 2), and no
            dilation.
        contract_dilation: Whether the first block of a dilated stage has half its dilation, as
            published and in mmseg's configs.
        avd_dilated: Whether the first block of a dilated stage keeps the average pool of its lost
            stride, with stride 1, as the published backbones do and mmseg's ResNeSt does not. Set
            it for weights that were trained so.
        share_shortcut: Whether the candidates of a position share its shortcut projection, as
            published. This and all above default to what the subnet file that ``arch`` names has.
        kwargs: See :class:`SearchableBackbone`.

    Raises:
        InputError: Not one stride of 1 or 2 and one dilation from 1 up per stage.
    """

    space = RESNEST50
    kept_arguments = ('strides', 'dilations', 'contract_dilation', 'avd_dilated', 'share_shortcut')

    def __init__(
        self,
        *args: Any,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        contract_dilation: bool = False,
        avd_dilated: bool = False,
        share_shortcut: bool = True,
        **kwargs: Any,
    ) -> None:
        stages = self.space.num_stages
        firsts = [
            next(position for position in self.space.positions if position.stage == stage)
            for stage in range(stages)
        ]
        self.strides = (
            tuple(position.stride for position in firsts) if strides is None else tuple(strides)
        )
        self.dilations = (1,) * stages if dilations is None else tuple(dilations)
        if len(self.strides) != stages or not set(self.strides) <= {1, 2}:
            raise InputError(
                f'strides={self.strides} of {type(self).__name__}: expected {stages} of 1 or 2'
            )
        if len(self.dilations) != stages or min(self.dilations) < 1:
            raise InputError(
                f'dilations={self.dilations} of {type(self).__name__}: expected {stages}, at '
                f'least 1'
            )
        self.contract_dilation = contract_dilation
        self.avd_dilated = avd_dilated
        self.share_shortcut = share_shortcut
        super().__init__(*args, **kwargs)

    def build_stem(self) -> nn.Module:
        width = self.channels(self.space.stem_channels)
        layers: list[nn.Module] = []
        for in_channels, out_channels, stride in (
            (self.in_channels, width // 2, 2),
            (width // 2, width // 2, 1),
            (width // 2, width, 1),
        ):
            layers += [
                self.conv(in_channels, out_channels, 3, stride=stride, padding=1),
                self.norm(out_channels),
                nn.ReLU(inplace=True),
            ]
        return nn.Sequential(*layers, nn.MaxPool2d(3, stride=2, padding=1))

    def build_candidate(self, position: Position, candidate: Candidate) -> nn.Module:
        # A stage's first position is the one that changes the shape.
        dilation = self.dilations[position.stage]
        dilated = position.changes_shape and dilation > 1
        block = SplitAttentionBottleneck(
            self.channels(position.in_channels),
            self.channels(position.out_channels),
            stride=self._stride(position),
            dilation=dilation // 2 if dilated and self.contract_dilation else dilation,
            pool=dilated and self.avd_dilated,
            owner=self,
            **candidate.block,
        )
        if position.changes_shape and not self.share_shortcut:
            block.shortcut = self._build_shortcut(position)
        return block

    def build_position(self, position: Position) -> nn.ModuleDict:
        modules = super().build_position(position)
        if position.changes_shape and self.share_shortcut:
            modules['shortcut'] = self._build_shortcut(position)
        return modules

    def _stride(self, position: Position) -> int:
        return self.strides[position.stage] if position.changes_shape else 1

    def _build_shortcut(self, position: Position) -> nn.Module:
        out_channels, stride = self.channels(position.out_channels), self._stride(position)
        return nn.Sequential(
            nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
            self.conv(self.channels(position.in_channels), out_channels),
            self.norm(out_channels),
        )

    def residual_norms(self) -> Iterator[nn.Module]:
        return (
            module.bn3 for module in self.modules() if isinstance(module, SplitAttentionBottleneck)
        )

    def run(self, index: int, arch: Arch, x: Tensor) -> Tensor:
        block, *shared = self.position_path(index, arch)
        shortcut = shared[0] if shared else getattr(block, 'shortcut', None)
        return block(x, x if shortcut is None else shortcut(x))

    def position_path(self, index: int, arch: Arch) -> list[nn.Module]:
        modules = super().position_path(index, arch)
        return (
            [*modules, self.position(index)['shortcut']]
            if 'shortcut' in self.position(index)
            else modules
        )
