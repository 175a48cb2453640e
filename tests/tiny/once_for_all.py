"""The published MobileNetV3 supernet of Once-for-All: names, and numbers to compare with."""

import json
from functools import cache
from pathlib import Path

import golden_weights
import numpy as np
import torch

DATA = Path(__file__).parents[1] / 'data'
SETTINGS = json.loads((DATA / 'ofa_mbv3_subnets.json').read_text())


@cache
def published():
    """Its tensors, under the published names."""
    shapes = json.loads((DATA / 'ofa_mbv3_keys.json').read_text())
    return {key: torch.from_numpy(value) for key, value in golden_weights.state(shapes).items()}


def images():
    values = np.random.RandomState(5).randn(2, 3, 64, 64)
    return torch.from_numpy(values.astype(np.float32))


def measured():
    """The outputs of the subnets, by name."""
    return np.load(DATA / 'ofa_mbv3_forward.npz')


def arch_of(setting):
    """A published setting as an arch: of every stage the depth, then of its blocks expansion and
    kernel."""
    kernel, expansion, depth = (
        value if isinstance(value, list) else [value] * count
        for value, count in ((setting['ks'], 20), (setting['e'], 20), (setting['d'], 5))
    )
    arch = []
    for stage in range(5):
        arch.append((2, 3, 4).index(depth[stage]))
        for block in range(4 * stage, 4 * stage + 4):
            arch += [(3, 4, 6).index(expansion[block]), (3, 5, 7).index(kernel[block])]
    return tuple(arch)
