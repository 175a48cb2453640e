"""Synaptic flow (Tanaka et al., NeurIPS 2020) as a score of archs."""

import numpy as np
import torch
from torch import Tensor, nn

from ...models.backbones import ArchBackbone, borrowed
from ...spaces import Arch
from .initialisation import ACTIVATIONS, freshly_initialised
from .registration import TrainingFreeScore, register_training_free


def linearised(backbone: ArchBackbone) -> ArchBackbone:
    """Makes a freshly initialised network linear in its input, with absolute weights, in double
    precision (changed in place).

    Activations are left out (ReLU6, for one, would clip its large values), and BN in eval mode with
    its first statistics is the identity (to its epsilon)."""
    for parent in list(backbone.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ACTIVATIONS):
                setattr(parent, name, nn.Identity())
    for module in backbone.modules():
        module.training = False
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.abs_()
    return backbone.double()


def synflow(linear: ArchBackbone, arch: Arch, size: tuple[int, int]) -> float:
    """The logarithm of the synaptic flow (Tanaka et al., NeurIPS 2020, eq. 2) as a score of archs
    (Abdelfattah et al., ICLR 2021, 3.2).

    With R the sum of the outputs for an input of ones, it is the sum of θ ∂R/∂θ over the weights of
    convolutions and linear layers.

    Args:
        linear: A supernet from :func:`linearised`; R is over the feature maps it returns.
        arch: The arch.
        size: Height and width of the input in pixels.
    """
    example = next(linear.parameters())
    ones = torch.ones(1, linear.in_channels, *size, dtype=example.dtype, device=example.device)
    with borrowed(linear):  # BN is the identity, so there are no statistics to warn of
        linear.set_arch(arch)
        total = sum(feature.sum() for feature in linear(ones))
    weights = [
        module.weight
        for path in linear.path(arch)
        for module in path.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    gradients = torch.autograd.grad(total, weights, allow_unused=True)
    flow = float(
        sum(
            (weight.detach() * gradient).sum()
            for weight, gradient in zip(weights, gradients)
            if gradient is not None
        )
    )
    return float(np.log(flow)) if flow > 0 else -np.inf


@register_training_free('synflow')
class Synflow(TrainingFreeScore):
    """:func:`synflow` of PyTorch's initialisation, as both papers have it. Of the images it takes
    the size."""

    def __init__(self, backbone: ArchBackbone, images: Tensor, seed: int = 0) -> None:
        self.network = linearised(freshly_initialised(backbone, seed))
        self.size = (images.shape[-2], images.shape[-1])

    def __call__(self, arch: Arch) -> dict[str, float]:
        return dict(synflow=synflow(self.network, arch, self.size))
