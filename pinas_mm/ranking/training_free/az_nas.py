"""AZ-NAS (Lee and Ham, CVPR 2024): expressivity, progressivity and trainability of an untrained
network, put together with its complexity."""

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from ...models.backbones import ArchBackbone, borrowed
from ...spaces import Arch
from .initialisation import freshly_initialised
from .registration import TrainingFreeScore, register_training_free

# Images at most, as published for NAS-Bench-201.
BATCH = 64


@register_training_free('az_expressivity', 'az_progressivity', 'az_trainability')
class AZNAS(TrainingFreeScore):
    """Three scores of the feature maps between the layers of a network, from one pass over it.

    - Expressivity: the sum over the maps of the entropy of their spread, see
      :func:`map_entropy`.
    - Progressivity: the smallest gain in that entropy from one map to the next.
    - Trainability: the mean over the layers of :func:`layer_trainability`.

    As published for NAS-Bench-201: the maps are the outputs of the stem and of every position; the
    tail is no layer. Weights are Kaiming-normal (fan-in), BN is in train mode, and the input is
    64 images of Gaussian noise, so of the images only the shape is taken; fewer where fewer images
    are given, since large ones need much memory. A position that hands on
    its input as it is, such as the identity of a chain, is no layer either: published networks of
    other depths lack the layer. A cell that only passes its input on is one, and its trainability
    is -inf, as published.

    Not as published: all archs have their weights, noise and signs from the same seed. There each
    arch draws its own.
    """

    def __init__(self, backbone: ArchBackbone, images: Tensor, seed: int = 0) -> None:
        fresh = freshly_initialised(
            backbone, seed, lambda weight: nn.init.kaiming_normal_(weight, nonlinearity='relu')
        )
        self.network = fresh.requires_grad_(False)
        self.seed = seed
        shape = (min(BATCH, len(images)), *images.shape[1:])
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        self.noise = noise.to(images.device)

    def __call__(self, arch: Arch) -> dict[str, float]:
        network, signs = self.network, torch.Generator().manual_seed(self.seed)
        entropies: list[float] = []
        trainabilities: list[float] = []

        def run_part(part: int, arch: Arch, x: Tensor) -> Tensor:
            # Each part has a graph of its own: gradients are wanted from its output to its input.
            with torch.enable_grad():
                before = x.detach().requires_grad_()
                inner = before.clone()  # which the part may change in place
                after = network.run_part(part, arch, inner)
            if after is not inner and part <= len(network.space.positions):
                entropies.append(map_entropy(after.detach()))
                if part > 0:
                    trainabilities.append(layer_trainability(before, after, signs))
            return after.detach()

        with borrowed(network), torch.no_grad():
            network.part_runner = run_part
            network.set_arch(arch)
            network(self.noise)
        # A network of its stem alone neither gains entropy nor loses gradients.
        gains = np.diff(entropies) if trainabilities else [0.0]
        is_alive = np.isfinite(entropies).all()  # a map without spread has no entropy
        return dict(
            az_expressivity=float(np.sum(entropies)) if is_alive else -np.inf,
            az_progressivity=float(np.min(gains)) if is_alive else -np.inf,
            az_trainability=float(np.mean(trainabilities or [0.0])),
        )


def map_entropy(feature: Tensor) -> float:
    """The entropy of the shares of the principal components in the spread of a feature map
    ``(N, C, H, W)`` over all its pixels; NaN where it has no spread.

    Variances below zero, which are rounding errors, count as zero. Published, they can make the
    entropy NaN."""
    pixels = feature.movedim(1, -1).flatten(0, -2)
    pixels = pixels - pixels.mean(0)
    covariance = (pixels.T @ pixels / len(pixels)).double()
    spread = torch.linalg.eigvalsh(covariance).clamp(min=0)
    shares = spread / spread.sum()
    return float(-(shares * torch.log(shares + 1e-8)).sum())


def layer_trainability(before: Tensor, after: Tensor, generator: torch.Generator) -> float:
    """How near to 1 a layer keeps the size of gradients: 0 at best.

    A gradient of random signs at the output gives one at the input. The largest singular value σ of
    the mean product of both, over all pixels, estimates that of the layer's Jacobian between
    channels; the score is ``2 - σ - 1 / σ``.

    Args:
        before: The layer's input ``(N, C, H, W)``.
        after: Its output ``(N, C', H', W')``, computed from it with gradients.
        generator: Draws the signs, on the CPU.

    Returns:
        The score, about -1e6 where nothing flows, and -inf where the gradient is passed on as it
        is.
    """
    signs = torch.randint(2, after.shape, generator=generator).mul_(2).sub_(1).to(after)
    gradient = None
    if after.requires_grad:
        (gradient,) = torch.autograd.grad(after, before, signs, allow_unused=True)
    if gradient is None:
        gradient = torch.zeros_like(before)
    if gradient.shape == signs.shape and bool((gradient == signs).all()):
        return -np.inf
    # The input's pixels that one of the output stands for become its channels. An odd size counts
    # as the next even one.
    height, width = after.shape[2:]
    stride = -(-before.shape[2] // height)
    missing = (0, stride * width - before.shape[3], 0, stride * height - before.shape[2])
    gradient = nn.functional.pixel_unshuffle(nn.functional.pad(gradient, missing), stride)
    rows, columns = (x.movedim(1, -1).flatten(0, -2) for x in (gradient, signs))
    largest = float(torch.linalg.matrix_norm(rows.T @ columns / len(columns), 2))
    return 2 - largest - 1 / (largest + 1e-6)


def az_nas(*scores: np.ndarray) -> np.ndarray:
    """The scores of the same archs, ``(N, )`` each, put together: the sum of the
    logarithms of their ranks, ``(N, )``. It depends on all archs.

    A low rank in one score counts more than high ones in the others. Published of MACs, which are
    the complexity, and the three scores of :class:`AZNAS`.
    """
    return sum(np.log(rankdata(values) / len(values)) for values in scores)
