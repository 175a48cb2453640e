import itertools
import json

import numpy as np
import pytest
import torch

from pinas_mm.costs import measure_costs
from pinas_mm.models.backbones import SearchableMacroNet


def test_costs_equal_the_benchmark(nasbench_macro_sample):
    table = json.loads(nasbench_macro_sample.read_text())
    costs = measure_costs(SearchableMacroNet(), 32)
    archs = [costs.space.decode(text) for text in table]
    classifier = 1280 * 10
    assert np.array_equal(
        costs.array('macs', archs) + classifier, [row['flops'] for row in table.values()]
    )
    assert np.array_equal(
        costs.array('params', archs) + classifier + 10, [row['params'] for row in table.values()]
    )


def test_equal_networks_compute_equal_things_with_moved_weights():
    """Identities after the last change of shape commute: the canonical arch is the same network."""
    space = SearchableMacroNet.space
    arch = (1, 0, 2, 0, 1, 2, 0, 0)
    canonical = space.canonical(arch)
    assert canonical == (1, 0, 2, 1, 0, 2, 0, 0)
    net, moved = SearchableMacroNet(arch, 0.25).eval(), SearchableMacroNet(canonical, 0.25).eval()
    moved.load_state_dict(
        {key.replace('layers.4.', 'layers.3.'): value for key, value in net.state_dict().items()}
    )
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(net(images)[0], moved(images)[0])


@pytest.mark.parametrize('arch', ['00000000', '22222222'])
def test_stage_shapes(arch):
    maps = SearchableMacroNet(arch, out_indices=(0, 1, 2, 3))(torch.zeros(2, 3, 32, 32))
    assert [tuple(m.shape) for m in maps] == [
        (2, 64, 16, 16),
        (2, 128, 8, 8),
        (2, 256, 4, 4),
        (2, 1280, 4, 4),
    ]


def test_parameters_of_a_subnet_by_hand():
    """Position 0 with candidate 1 at full width: 32 to 64 channels through 96."""
    net = SearchableMacroNet(arch='10000000')
    expand, depthwise, project = 32 * 96 + 2 * 96, 96 * 9 + 2 * 96, 96 * 64 + 2 * 64
    assert sum(p.numel() for p in net.layers[0].parameters()) == expand + depthwise + project
    assert sum(p.numel() for p in net.layers[1].parameters()) == 0
    assert len(list(itertools.chain(*(layer.keys() for layer in net.layers)))) == 8


def test_a_detectors_backbone_has_no_tail():
    """Nothing would read it, and it would never get a gradient."""
    net = SearchableMacroNet('1' * 8, widen_factor=0.25, out_indices=(1, 2))
    assert net.tail is None and net.num_parts == 9
    sum(out.sum() for out in net(torch.zeros(2, 3, 32, 32))).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
