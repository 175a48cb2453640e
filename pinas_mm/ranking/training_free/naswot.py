"""NASWOT (Mellor et al., ICML 2021)."""

import torch
from torch import Tensor, nn

from ...models.backbones import ArchBackbone
from ...spaces import Arch
from .initialisation import activations, freshly_initialised
from .registration import TrainingFreeScore, register_training_free


@torch.no_grad()
def naswot(fresh: ArchBackbone, arch: Arch, images: Tensor) -> float:
    """The log-determinant of the kernel of binary activation codes (Mellor et al., ICML 2021, eq.
    2).

    Two images' codes agree in so many units as the kernel's entry says; a network that tells a
    minibatch's images apart has a large determinant.

    All activations that run count. The published code counts those that a backward pass came by,
    which in its networks are all: ``none`` is a product with zero there, so that a gradient of
    zeros also reaches edges of a NAS-Bench-201 cell that lead nowhere. It also counts an activation
    once more for a module around it whose class has ReLU in its name; here each counts once.

    Args:
        fresh: A supernet at initialisation, BN in train mode.
        arch: The arch.
        images: A minibatch ``(N, C, H, W)``; the kernel is N by N.
    """
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)

    def add(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        # Of signs +1 and -1 the product counts agreements less disagreements, exact in float32 up
        # to 2**24 units.
        signs = (output > 0).flatten(1).float().mul_(2).sub_(1)
        kernel.add_((signs @ signs.T).add_(signs.shape[1]).div_(2))

    hooks = [module.register_forward_hook(add) for module in activations(fresh)]
    try:
        fresh.set_arch(arch)
        fresh(images)
    finally:
        for hook in hooks:
            hook.remove()
    return float(torch.linalg.slogdet(kernel).logabsdet)


@register_training_free('naswot')
class Naswot(TrainingFreeScore):
    """:func:`naswot` of PyTorch's initialisation on all images; 128 as published."""

    counts_activations = True

    def __init__(self, backbone: ArchBackbone, images: Tensor, seed: int = 0) -> None:
        self.network = freshly_initialised(backbone, seed)
        self.images = images

    def __call__(self, arch: Arch) -> dict[str, float]:
        return dict(naswot=naswot(self.network, arch, self.images))
