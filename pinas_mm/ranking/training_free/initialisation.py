"""Networks at initialisation, which training-free scores look at."""

import copy
import types
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...models.backbones import ArchBackbone
from ...private_api import replace_forward

# What several scores count the signs of. All are increasing functions of positive inputs.
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.SiLU, nn.GELU, nn.Hardswish)


def freshly_initialised(
    backbone: ArchBackbone, seed: int, draw_weights: Callable[[Tensor], object] | None = None
) -> ArchBackbone:
    """A copy with new weights, in train mode; no residual branch starts at zero. They are drawn on
    the CPU, so that a GPU gets the same.

    Args:
        backbone: A supernet or subnet; it is left as it is.
        seed: Seed of the weights.
        draw_weights: Fills a weight of a convolution or linear layer in place; biases are then
            zero. Defaults to PyTorch's own initialisation of each layer.
    """
    device = next(backbone.parameters()).device
    fresh = copy.deepcopy(backbone).cpu()
    with torch.random.fork_rng(devices=()), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        for module in fresh.modules():
            if hasattr(module, 'reset_parameters'):
                module.reset_parameters()
            if draw_weights is not None and isinstance(module, nn.Conv2d | nn.Linear):
                draw_weights(module.weight)
                if module.bias is not None:
                    module.bias.zero_()
    for module in fresh.modules():
        module.training = True  # not train(): frozen_stages and norm_eval are for training
        if isinstance(module, nn.SyncBatchNorm):  # ranks may score different archs
            replace_forward(module, types.MethodType(_BatchNorm.forward, module))
    return fresh.requires_grad_(True).to(device)


def activations(network: ArchBackbone) -> list[nn.Module]:
    """The activations of a network whose signs can be counted."""
    return [module for module in network.modules() if isinstance(module, ACTIVATIONS)]
