import pytest
import strided_conv_training
import torch
from processes import finish, start
from torch import nn

from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.models.strided_pointwise_conv import StridedPointwiseConv2d


@pytest.mark.parametrize(
    'channels, size, stride', [(3, 33, 2), (8, 96, 2), (12, 60, 3), (8, 16, (1, 2))]
)
@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_it_is_the_convolution_it_stands_for(channels, size, stride, memory_format):
    """Outputs and both gradients, against the ordinary one in double precision and contiguous."""
    torch.manual_seed(0)
    ours, theirs = (
        StridedPointwiseConv2d(channels, 16, 1, stride),
        nn.Conv2d(channels, 16, 1, stride).double(),
    )
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, channels, size, size)
    results = []
    for conv, x in (
        (ours.to(memory_format=memory_format), images.to(memory_format=memory_format)),
        (theirs, images.double()),
    ):
        y = conv(x.requires_grad_())
        weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
        results.append((y, *torch.autograd.grad((y * weights).sum(), (x, conv.weight, conv.bias))))
    for found, expected in zip(*results):
        assert found.shape == expected.shape
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_training_it_leaves_the_heap_whole(tmp_path):
    """In a process of its own: with an ordinary convolution it ends with a corrupted heap, on CPUs
    with AVX-512."""
    process = start(strided_conv_training.train, tmp_path, 'report')
    assert finish([process]) == [0], 'an exit code below 0 is a signal'


def test_it_is_used_where_it_is_needed_alone():
    """With the parameters and the initial spread of an ordinary one."""
    for width, used in ((0.25, 1), (1.0, 0)):
        net = SearchableMacroNet(widen_factor=width)
        convs = [module for module in net.modules() if isinstance(module, StridedPointwiseConv2d)]
        assert len(convs) == used and not any(conv.bias is not None for conv in convs)
    net = SearchableMacroNet(widen_factor=0.25)
    net.init_weights()
    weight = net.state_dict()['layers.0.0.0.weight']
    assert weight.shape == (16, 8, 1, 1) and weight.std() == pytest.approx(
        (2 / 16) ** 0.5, rel=0.2
    )  # Kaiming, fan out
