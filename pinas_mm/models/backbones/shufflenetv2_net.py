"""The supernet of single path one shot (Guo et al., ECCV 2020) and DSNAS (Hu et al., CVPR 2020): a
shuffle block per position."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...registry import MODELS
from ...schema import Positive
from ...spaces import Candidate, Position
from ...spaces.shufflenetv2 import SHUFFLENETV2
from .searchable import SearchableBackbone


class ShuffleBlock(nn.Module):
    """Two branches side by side (ShuffleNetV2, Ma et al., ECCV 2018, figure 3).

    With stride 1 every second channel, from the first on, passes by and the others go through
    ``main``: the shuffle of channels is how the input is split, so that none is needed after the
    block. With stride 2 both branches read the whole input.

    Args:
        main: Convolutions, to as many channels as the other branch leaves.
        projection: The other branch of a block with stride 2; None where channels pass by.
    """

    def __init__(self, main: nn.Module, projection: nn.Module | None) -> None:
        super().__init__()
        self.main = main
        self.projection = projection

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, H / stride, W / stride)``, the channels of ``main``
        last."""
        if self.projection is None:
            return torch.cat((x[:, ::2], self.main(x[:, 1::2])), dim=1)
        return torch.cat((self.projection(x), self.main(x)), dim=1)


@MODELS.register_module()
class SearchableShuffleNetV2(SearchableBackbone):
    """The ``shufflenetv2`` space as supernet or subnet.

    A 3x3 stem; 20 positions in stages of 4, 4, 8, 4, each stage's first with stride 2; a 1x1
    convolution to 1024 as tail. In a block with stride 2, the projection has the block's own kernel
    size and as many channels as the input.

    ``zero_init_residual`` changes nothing here: no branch is added to a shortcut. Its last BN is
    followed by a ReLU, whose gradient is 0 at 0, so that a branch that starts at zero would never
    learn.

    Args:
        mid_scales: Middle channels of the blocks, as a share of half of their output channels: one
            number for all positions, or one for each. The nearest number of channels is taken, at
            least 1. 1.0 in all published networks.
        stem_stride: Stride of the stem, 2 as published; 1 for images of about 32 pixels, of which
            the last stage's maps are then 2x2. Both default to what the subnet file that ``arch``
            names has.
        kwargs: See :class:`SearchableBackbone`. ``widen_factor`` gives the nearest even numbers of
            channels, since halves of them pass by.

    Raises:
        InputError: Not one number above 0 or one per position, a stride other than 1 or 2, or a
            width so small that a block with stride 2 has as many input as output channels, which
            leaves none to its main branch.
    """

    space = SHUFFLENETV2
    kept_arguments = ('mid_scales', 'stem_stride')

    def __init__(
        self,
        *args: Any,
        mid_scales: Positive | Sequence[Positive] = 1.0,
        stem_stride: Literal[1, 2] = 2,
        **kwargs: Any,
    ) -> None:
        count = len(self.space.positions)
        scales = (mid_scales,) * count if isinstance(mid_scales, int | float) else tuple(mid_scales)
        if len(scales) != count:
            raise InputError(
                f'mid_scales={mid_scales!r} of {type(self).__name__}: expected a number above 0, '
                f'or {count} of them'
            )
        if stem_stride not in (1, 2):
            raise InputError(
                f'stem_stride={stem_stride!r} of {type(self).__name__}: expected 1 or 2'
            )
        self.mid_scales = scales
        self.stem_stride = stem_stride
        super().__init__(*args, **kwargs)

    def channels(self, full: int | None) -> int:
        """The channel count at this width: the nearest even number, at least 2."""
        assert full is not None  # asked for the tail of a space without one
        return max(2, 2 * round(full * self.widen_factor / 2))

    def build_stem(self) -> nn.Module:
        width = self.channels(self.space.stem_channels)
        return nn.Sequential(
            self.conv(self.in_channels, width, 3, stride=self.stem_stride, padding=1),
            self.norm(width),
            nn.ReLU(inplace=True),
        )

    def build_candidate(self, position: Position, candidate: Candidate) -> nn.Module:
        in_channels, out_channels = (
            self.channels(position.in_channels),
            self.channels(position.out_channels),
        )
        (slot,) = position.slots
        mid, stride = max(1, round(out_channels // 2 * self.mid_scales[slot])), position.stride
        size = candidate.block['kernel_size']
        # Of the input, what goes through the main branch; and what the other branch gives.
        read, beside = (
            (in_channels // 2, in_channels // 2) if stride == 1 else (in_channels, in_channels)
        )
        if out_channels <= beside:
            raise InputError(
                f'widen_factor={self.widen_factor:g} of {type(self).__name__}: position {slot} '
                f'has {in_channels} input and '
                f'{out_channels} output channels, which leaves none to its main branch; choose a '
                f'larger one'
            )
        if candidate.block['kind'] == 'xception':
            main = [
                *self._depthwise(read, size, stride),
                *self._pointwise(read, mid),
                *self._depthwise(mid, size),
                *self._pointwise(mid, mid),
                *self._depthwise(mid, size),
                *self._pointwise(mid, out_channels - beside),
            ]
        else:
            main = [
                *self._pointwise(read, mid),
                *self._depthwise(mid, size, stride),
                *self._pointwise(mid, out_channels - beside),
            ]
        projection = (
            nn.Sequential(*self._depthwise(beside, size, stride), *self._pointwise(beside, beside))
            if stride > 1
            else None
        )
        return ShuffleBlock(nn.Sequential(*main), projection)

    def build_tail(self) -> nn.Module:
        in_channels, out_channels = (
            self.channels(full)
            for full in (self.space.positions[-1].out_channels, self.space.tail_channels)
        )
        return nn.Sequential(*self._pointwise(in_channels, out_channels))

    def residual_norms(self) -> Iterator[nn.Module]:
        return iter(())

    def _pointwise(self, in_channels: int, out_channels: int) -> list[nn.Module]:
        return [
            self.conv(in_channels, out_channels),
            self.norm(out_channels),
            nn.ReLU(inplace=True),
        ]

    def _depthwise(self, channels: int, kernel_size: int, stride: int = 1) -> list[nn.Module]:
        conv = self.conv(
            channels,
            channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=channels,
        )
        return [conv, self.norm(channels)]
