import pytest
import torch
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from torch import nn
from torch.export import Dim

from pinas_mm.models.same_padding_conv import SamePaddingConv2d


@pytest.mark.parametrize('kernel_size', [1, 3, 5])
@pytest.mark.parametrize('stride', [1, 2, (2, 1)])
@pytest.mark.parametrize('dilation', [1, 2])
def test_it_pads_as_tensorflow_on_even_and_odd_sizes(kernel_size, stride, dilation):
    arguments = dict(stride=stride, dilation=dilation, groups=2)
    ours = SamePaddingConv2d(4, 6, kernel_size, padding=kernel_size // 2, **arguments)
    theirs = Conv2dAdaptivePadding(4, 6, kernel_size, **arguments)
    theirs.load_state_dict(ours.state_dict())
    for size in ((12, 12), (12, 13), (13, 12), (13, 13)):
        images = torch.randn(2, 4, *size)
        torch.testing.assert_close(ours(images), theirs(images))


def test_by_hand():
    """Six pixels in a row: windows of three begin at the first, the third and the fifth, and the
    last has one pixel of padding. Of five, the first begins in the padding."""
    conv = SamePaddingConv2d(1, 1, (1, 3), stride=2, bias=False)
    conv.weight.data[:] = torch.tensor([1.0, 10.0, 100.0])
    row = torch.arange(1.0, 7).reshape(1, 1, 1, 6)
    assert conv(row).flatten().tolist() == [321, 543, 65]
    assert conv(row[..., :5]).flatten().tolist() == [210, 432, 54]


def test_layers_of_it_are_exported_for_any_size():
    """Five strides, as in a whole network. mmcv's convolution takes minutes here."""
    convs = [SamePaddingConv2d(channels, 4, 3, 2) for channels in (3, 4, 4, 4, 4)]
    net, sizes = nn.Sequential(*convs).eval(), {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    with torch.no_grad():
        program = torch.export.export(
            net, (torch.zeros(2, 3, 65, 97),), dynamic_shapes=(sizes,), strict=False
        ).module()
        for size in ((64, 64), (90, 131)):
            images = torch.randn(3, 3, *size)
            torch.testing.assert_close(program(images), net(images))
