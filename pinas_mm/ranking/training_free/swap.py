"""Sample-wise activation patterns, SWAP (Peng et al., ICLR 2024)."""

import torch
from torch import Tensor, nn

from ...models.backbones import ArchBackbone
from ...spaces import Arch
from .initialisation import activations, freshly_initialised
from .registration import TrainingFreeScore, register_training_free

# Images, as published.
BATCH = 16


@register_training_free('swap')
class Swap(TrainingFreeScore):
    """How many different patterns there are among the units of all activations.

    The pattern of a unit says for which images it is positive. As published: the first 16 images,
    weights of unit variance, BN in train mode. At most ``2**16`` patterns exist.

    Not as published: one initialisation, the same for all archs; there the mean of 32. All
    activations count; there ReLUs. The regularised score, which prefers a size of network, is left
    out: its two constants are fitted to a space.
    """

    counts_activations = True

    def __init__(self, backbone: ArchBackbone, images: Tensor, seed: int = 0) -> None:
        self.network = freshly_initialised(backbone, seed, nn.init.normal_)
        self.images = images[:BATCH]

    @torch.no_grad()
    def __call__(self, arch: Arch) -> dict[str, float]:
        network = self.network
        bits = 2 ** torch.arange(len(self.images), device=self.images.device)
        seen = torch.zeros(2 ** len(self.images), dtype=torch.bool, device=self.images.device)

        def add(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            seen[((output > 0).flatten(1) * bits[:, None]).sum(0)] = True

        hooks = [module.register_forward_hook(add) for module in activations(network)]
        try:
            network.set_arch(arch)
            network(self.images)
        finally:
            for hook in hooks:
                hook.remove()
        return dict(swap=float(seen.sum()))
