import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmpretrain.models import ResNet
from torch.utils.flop_counter import FlopCounterMode

from pinas_mm.models.backbones import ElasticResNet

TOOL = str(Path(__file__).parents[2] / 'tools/space.py')


@pytest.fixture
def space(monkeypatch, capsys):
    """Runs the tool in this process; returns its exit code and what it wrote."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['space.py', *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(TOOL, run_name='__main__')
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


def millions(net, size):
    """MACs and parameters, counted on the whole network."""
    net.eval()
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 3, *size, device='meta'))
    return counter.get_total_flops() / 2e6, sum(p.numel() for p in net.parameters()) / 1e6


def test_a_space_is_described_with_what_its_archs_cost(space):
    code, out, _ = space('elastic_resnet18', '--input-size', 64, 96)
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == (
        'elastic_resnet18 of pinas_mm.ElasticResNet: 12 slots, 1.05e+05 archs'  # 2^4 x 3^8
    )
    assert lines[2:5] == [
        '   0  0      1         depth1, depth2',
        '   1  0      0         width0.5, width0.75, width1',
        '   2  0      1         width0.5, width0.75, width1',
    ]
    ends = ElasticResNet(18, arch='0' * 12).to('meta'), ResNet(18).to('meta')
    for index, name in enumerate(('backbone_macs', 'params')):
        row = next(line for line in lines if line.startswith(name))
        values = [float(value) for value in re.findall(r'([\d.]+)M', row)]
        assert len(values) == 5 and values == sorted(set(values))
        for end, value in zip(ends, (values[0], values[-1])):
            assert value == pytest.approx(millions(end, (64, 96))[index], abs=0.006)


def test_slots_that_many_positions_read(space):
    """The edges of a cell, which is there fifteen times, with reductions between."""
    out = space('nasbench201', '--input-size', 32)[1]
    assert re.search(r'^   0  0-2    0-4,6-10,12-16  ', out, re.MULTILINE), out


def test_an_unknown_space_is_one_line(space):
    code, out, errors = space('elastic_resnet19')
    assert (code, out) == (2, '') and errors.count('\n') == 1
    assert "unknown space 'elastic_resnet19', expected a known one, such as" in errors
    assert space('nasbench_macro', '--input-size', 1, 2, 3)[0] == 2
