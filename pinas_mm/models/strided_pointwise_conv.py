"""A 1x1 convolution with a stride that a CPU computes soundly for any number of channels."""

from torch import Tensor, nn
from torch.nn import functional as F

# Channels that oneDNN takes at a time with AVX-512.
BLOCK = 16


class StridedPointwiseConv2d(nn.Conv2d):
    """``nn.Conv2d`` with a 1x1 kernel and without padding, which leaves out what the stride passes
    over before it convolves.

    The same function, under the same parameter names. With fewer than 16 input channels, oneDNN's
    weight gradient of such a convolution of channels-last maps writes past its workspace, and the
    process ends in a corrupted heap or goes on with wrong numbers (its issue 6035; torch 2.10 to
    2.14 at least; seen here from 56 pixels on with AVX-512 and 8 channels). With a stride of 1 it
    has no such workspace. From 16 channels on, the ordinary convolution is sound and faster.

    Args:
        args, kwargs: As in ``nn.Conv2d``.
    """

    # Not `forward`: hooks and BN folding see an ordinary convolution.
    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows, columns = self.stride
        return F.conv2d(input[..., ::rows, ::columns], weight, bias, groups=self.groups)
