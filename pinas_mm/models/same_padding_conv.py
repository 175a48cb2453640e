"""A convolution that pads as TensorFlow does."""

from torch import Tensor, nn
from torch.nn import functional as F


class SamePaddingConv2d(nn.Conv2d):
    """``nn.Conv2d`` with TensorFlow's padding ``'SAME'``, for odd kernels and strides of 1 and 2.

    With a stride of 2, the windows on a map of even size begin one pixel later than those of the
    symmetric padding; else they are the same. mmcv's ``Conv2dAdaptivePadding`` computes the same,
    but ``torch.export`` does not come to an end with it: sizes that depend on remainders pile up
    from layer to layer. Here what is padded in all does not depend on the size.

    Args:
        args, kwargs: As in ``nn.Conv2d``. ``padding`` is of no effect.
    """

    # Not `forward`: hooks and BN folding see an ordinary convolution.
    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        # Of the weight that runs: it may be the centre of the layer's own.
        sides = [dilation * (size // 2) for size, dilation in zip(weight.shape[2:], self.dilation)]
        later = [
            1 - size % 2 if stride == 2 and side else 0
            for size, stride, side in zip(input.shape[2:], self.stride, sides)
        ]
        if self.stride != (1, 1):
            (top, left), (down, right) = sides, later
            input = F.pad(input, (left - right, left + right, top - down, top + down))
            sides = [0, 0]
        return F.conv2d(input, weight, bias, self.stride, sides, self.dilation, self.groups)
