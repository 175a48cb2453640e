"""Weighted response correlation, WRCor (Jing et al., 2025)."""

import torch
from torch import Tensor, nn

from ...models.backbones import ArchBackbone, borrowed
from ...spaces import Arch
from .initialisation import activations, freshly_initialised
from .registration import TrainingFreeScore, register_training_free

# Images, as published for NAS-Bench-201.
BATCH = 64
# Classes of the random labels, as those of CIFAR-10.
CLASSES = 10


@register_training_free('wrcor')
class WRCor(TrainingFreeScore):
    """The log-determinant of the correlations between images, summed over the activations and
    weighted by ``2**l`` in layer l of the network (eq. 10 and 11).

    Correlated are the inputs of each activation and the gradients of a loss with respect to them,
    in absolute value. A network whose responses to images differ has a large determinant. As
    published: the first 64 images, PyTorch's initialisation, BN in train mode, cross-entropy of
    pooled features; correlations that are not defined, such as those of an activation that gets
    zeros only, are left out; an activation that works in place is seen after it. Layers are the
    stem (l = 0), the positions and the tail. A position that hands on its input as it is, such as
    the identity of a chain, is no layer: published networks of other depths lack it. So a deeper
    network has larger weights.

    Not as published: the classifier and the labels are random, since a backbone has none. Networks
    of NAS-Bench-201 are weighted from ``2**1``, as in the formula; in the code from ``2**0``. All
    activations count; there ReLUs.
    """

    counts_activations = True

    def __init__(self, backbone: ArchBackbone, images: Tensor, seed: int = 0) -> None:
        # Gradients are wanted at activations, not at weights.
        self.network = freshly_initialised(backbone, seed).requires_grad_(False)
        self.images = images[:BATCH]
        generator = torch.Generator().manual_seed(seed)
        channels = backbone.out_channels[-1]
        # As nn.Linear draws it.
        weight = torch.empty(CLASSES, channels).uniform_(
            -(channels**-0.5), channels**-0.5, generator=generator
        )
        labels = torch.randint(CLASSES, (len(self.images),), generator=generator)
        self.classifier, self.labels = weight.to(images), labels.to(images.device)

    def __call__(self, arch: Arch) -> dict[str, float]:
        network, count = self.network, len(self.images)
        kernel = torch.zeros(count, count, dtype=torch.float64, device=self.images.device)
        layer = 0

        def run_part(part: int, arch: Arch, x: Tensor) -> Tensor:
            nonlocal layer
            out = network.run_part(part, arch, x)
            layer += out is not x
            return out

        def add(response: Tensor, weight: float) -> None:
            rows = response.detach().flatten(1)
            rows = rows - rows.mean(1, keepdim=True)
            rows = rows / rows.norm(dim=1, keepdim=True)
            correlations = (rows @ rows.T).abs()
            is_defined = correlations.isfinite().all()
            kernel.add_(correlations.where(is_defined, 0), alpha=weight)

        def watch(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            weight = 2.0**layer
            add(inputs[0], weight)
            if output.grad_fn is not None:
                # The gradient with respect to this activation's input alone: others may read the
                # same tensor.
                output.grad_fn.register_hook(lambda inner, outer: add(inner[0], weight))

        hooks = [module.register_forward_hook(watch) for module in activations(network)]
        try:
            with borrowed(network), torch.enable_grad():
                network.part_runner = run_part
                network.set_arch(arch)
                images = self.images.detach().requires_grad_()
                pooled = network(images.clone())[-1].mean((2, 3))
                loss = nn.functional.cross_entropy(pooled @ self.classifier.T, self.labels)
                if loss.requires_grad:  # else nothing flows
                    torch.autograd.grad(loss, images, allow_unused=True)
        finally:
            for hook in hooks:
                hook.remove()
        return dict(wrcor=float(torch.linalg.slogdet(kernel).logabsdet))
