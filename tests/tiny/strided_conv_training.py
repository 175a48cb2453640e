"""What test_strided_pointwise_conv.py runs in a process of its own."""

import torch
from torch import nn

from pinas_mm.models.backbones import SearchableMacroNet


def train():
    net = SearchableMacroNet(widen_factor=0.25)
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    (conv,) = [
        conv for conv in convs if conv.weight.shape == (16, 8, 1, 1) and conv.stride == (2, 2)
    ]
    conv.to(memory_format=torch.channels_last)
    maps = torch.randn(8, 8, 96, 96).to(memory_format=torch.channels_last)
    kept = []
    for _ in range(50):
        # Blocks of the heap around those of the convolution.
        kept = [torch.randn(size) for size in (10, 100, 1000, 10000, 18432)]
        conv(maps).square().mean().backward()
        conv.weight.grad = None
    assert len(kept) == 5
