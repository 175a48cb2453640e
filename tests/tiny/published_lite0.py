"""EfficientNet-Lite0 by hand, from tensors under the names that they are published with."""

import math

import torch
from torch.nn import functional as F

# Kernel size, expansion, stride, channels that come in and go out: of every block.
BLOCKS = [
    (3, 1, 1, 32, 16),
    (3, 6, 2, 16, 24),
    (3, 6, 1, 24, 24),
    (5, 6, 2, 24, 40),
    (5, 6, 1, 40, 40),
    (3, 6, 2, 40, 80),
    (3, 6, 1, 80, 80),
    (3, 6, 1, 80, 80),
    (5, 6, 1, 80, 112),
    (5, 6, 1, 112, 112),
    (5, 6, 1, 112, 112),
    (5, 6, 2, 112, 192),
    (5, 6, 1, 192, 192),
    (5, 6, 1, 192, 192),
    (5, 6, 1, 192, 192),
    (3, 6, 1, 192, 320),
]
STAGE_OF_BLOCK = [0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 5, 6]


def shapes(classes=10):
    """Of every tensor, by its published name."""
    found = {'_conv_stem.weight': (32, 3, 3, 3), '_conv_head.weight': (1280, 320, 1, 1)}
    norms = {'_bn0': 32, '_bn1': 1280}
    for index, (size, expansion, _, before, after) in enumerate(BLOCKS):
        name, inner = f'_blocks.{index}', before * expansion
        if expansion > 1:
            found[f'{name}._expand_conv.weight'] = (inner, before, 1, 1)
            norms[f'{name}._bn0'] = inner
        found[f'{name}._depthwise_conv.weight'] = (inner, 1, size, size)
        found[f'{name}._project_conv.weight'] = (after, inner, 1, 1)
        norms |= {f'{name}._bn1': inner, f'{name}._bn2': after}
    for name, channels in norms.items():
        for tensor in ('weight', 'bias', 'running_mean', 'running_var'):
            found[f'{name}.{tensor}'] = (channels,)
        found[f'{name}.num_batches_tracked'] = ()
    return found | {'_fc.weight': (classes, 1280), '_fc.bias': (classes,)}


def published_lite0(seed=0):
    """Random weights and statistics, so that maps neither vanish nor explode."""
    generator, state = torch.Generator().manual_seed(seed), {}
    for name, shape in shapes().items():
        if name.endswith('num_batches_tracked'):
            state[name] = torch.tensor(7)
        elif len(shape) == 1 and name.endswith(('weight', 'running_var')):
            state[name] = torch.rand(shape, generator=generator) + 0.5
        else:
            spread = (2 / math.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.3
            state[name] = torch.randn(shape, generator=generator) * spread
    return state


def by_hand(state, images, blocks=None):
    """The maps of the seven stages and of the head, in eval mode.

    Args:
        state: The published tensors.
        images: ``(N, 3, H, W)``.
        blocks: Of every block, what runs: its expansion and its kernel size, or None. Defaults to
            all.
    """
    blocks = blocks or [(block[1], block[0]) for block in BLOCKS]

    def norm(x, name):
        tensors = ('running_mean', 'running_var', 'weight', 'bias')
        return F.batch_norm(x, *(state[f'{name}.{key}'][: x.shape[1]] for key in tensors), eps=1e-3)

    def relu6(x):
        return x.clamp(0, 6)

    x = relu6(norm(same_conv(images, state['_conv_stem.weight'], 2), '_bn0'))
    maps = {}
    for index, (block, chosen) in enumerate(zip(BLOCKS, blocks, strict=True)):
        if chosen is not None:
            (whole, _, stride, channels, _), (expansion, size) = block, chosen
            name, inner, edge = f'_blocks.{index}', channels * expansion, (whole - size) // 2
            out = x
            if block[1] > 1:
                out = F.conv2d(out, state[f'{name}._expand_conv.weight'][:inner])
                out = relu6(norm(out, f'{name}._bn0'))
            kernel = state[f'{name}._depthwise_conv.weight'][:inner]
            kernel = kernel[..., edge : whole - edge, edge : whole - edge]
            out = relu6(norm(same_conv(out, kernel, stride, inner), f'{name}._bn1'))
            out = F.conv2d(out, state[f'{name}._project_conv.weight'][:, :inner])
            out = norm(out, f'{name}._bn2')
            x = x + out if x.shape == out.shape else out
        maps[STAGE_OF_BLOCK[index]] = x
    tail = relu6(norm(F.conv2d(x, state['_conv_head.weight']), '_bn1'))
    return *maps.values(), tail


def same_conv(x, weight, stride, groups=1):
    """Padded as TensorFlow does, by its documentation."""
    pads, size = [], weight.shape[-1]
    for length in (x.shape[3], x.shape[2]):
        total = max((math.ceil(length / stride) - 1) * stride + size - length, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)
