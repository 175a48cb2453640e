"""Baselines that train nothing: MACs, params, depth, synflow and NASWOT. A learned ranking that
does not beat them is worth nothing."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..costs import CostTable
from ..models.backbones import SearchableBackbone, borrowed
from ..spaces import Arch, SearchSpace

# Kinds of candidates that add no layer to a network.
WITHOUT_LAYER = ('identity', 'none', 'skip', 'pool')
# Increasing functions of positive inputs, which the linearised network leaves out (ReLU6, for one,
# would clip its large values).
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.SiLU, nn.GELU, nn.Hardswish)


def zero_cost_scores(
    backbone: SearchableBackbone,
    archs: Sequence[Arch],
    costs: CostTable,
    images: Tensor,
    repeats: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, np.ndarray]:
    """All baselines of archs, higher is better.

    Args:
        backbone: A supernet; its weights are not read, a copy with fresh ones is scored.
        archs: The archs.
        costs: MACs and params of the archs.
        images: One minibatch ``(N, C, H, W)`` as the backbone gets it, for NASWOT; 128 images as
            published.
        repeats: Initialisations, seeded 0, 1, ..., over which synflow and NASWOT are averaged. One
            is enough: two of them order the archs of NAS-Bench-Macro at a tau of 0.98.
        on_progress: Called as ``on_progress(done, total)`` after every arch and initialisation.

    Returns:
        For each baseline an array ``(len(archs), )``.
    """
    scores = {name: costs.array(name, archs).astype(float) for name in ('macs', 'params')}
    scores |= dict(
        depth=depth(backbone.space, archs).astype(float),
        synflow=np.zeros(len(archs)),
        naswot=np.zeros(len(archs)),
    )
    height, width = images.shape[-2:]
    for seed in range(repeats):
        fresh, linear = (
            freshly_initialised(backbone, seed),
            linearised(freshly_initialised(backbone, seed)),
        )
        for i, arch in enumerate(archs):
            scores['synflow'][i] += synflow(linear, arch, (height, width)) / repeats
            scores['naswot'][i] += naswot(fresh, arch, images) / repeats
            on_progress(seed * len(archs) + i + 1, repeats * len(archs))
    return {name: _dead_last(values) for name, values in scores.items()}


def _dead_last(scores: np.ndarray) -> np.ndarray:
    """Puts archs through which nothing flows, whose logarithm is -inf, below all others."""
    alive = np.isfinite(scores)
    return np.where(alive, scores, scores[alive].min(initial=0) - 1)


def depth(space: SearchSpace, archs: Sequence[Arch]) -> np.ndarray:
    """How many slots of each arch hold a candidate that adds a layer, ``(len(archs), )`` ints.

    An identity is none, also where the change of shape makes it a strided convolution.
    """
    layers = [
        np.array([candidate.block.get('kind') not in WITHOUT_LAYER for candidate in slot], int)
        for slot in space.candidates
    ]
    return sum(layer[np.asarray(archs)[:, slot]] for slot, layer in enumerate(layers))


def freshly_initialised(backbone: SearchableBackbone, seed: int) -> SearchableBackbone:
    """A copy with new weights, PyTorch's defaults as both papers have them: no residual branch
    starts at zero. They are drawn on the CPU, so that a GPU gets the same. It is in train mode."""
    device = next(backbone.parameters()).device
    fresh = copy.deepcopy(backbone).cpu()
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        for module in fresh.modules():
            if hasattr(module, 'reset_parameters'):
                module.reset_parameters()
    for module in fresh.modules():
        module.training = True  # not train(): frozen_stages and norm_eval are for training
    return fresh.requires_grad_(True).to(device)


def linearised(backbone: SearchableBackbone) -> SearchableBackbone:
    """Makes a freshly initialised network linear in its input, with absolute weights, in double
    precision (changed in place).

    Activations are left out, and BN in eval mode with its first statistics is the identity (to its
    epsilon)."""
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


def synflow(linear: SearchableBackbone, arch: Arch, size: tuple[int, int]) -> float:
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


@torch.no_grad()
def naswot(fresh: SearchableBackbone, arch: Arch, images: Tensor) -> float:
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

    hooks = [
        module.register_forward_hook(add)
        for module in fresh.modules()
        if isinstance(module, ACTIVATIONS)
    ]
    try:
        fresh.set_arch(arch)
        fresh(images)
    finally:
        for hook in hooks:
            hook.remove()
    return float(torch.linalg.slogdet(kernel).logabsdet)
