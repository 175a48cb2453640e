import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.models import ResNet
from torch.utils.flop_counter import FlopCounterMode

from pinas_mm.costs.latency import Latency
from pinas_mm.models.backbones import ElasticResNet
from pinas_mm.spaces import get_space

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


def latencies(name, seed=0):
    """A table with a latency for every term of a space."""
    space, rng = get_space(name), np.random.default_rng(seed)
    tables = [
        rng.uniform(1, 2, [space.num_candidates[slot] for slot in slots]).tolist()
        for _, slots in space.cost_terms
    ]
    setting = dict(device='cpu (x86_64)', threads=1, dtype='float32', images=[1, 3, 64, 96])
    return Latency(name, 1.0, setting, 0.5, tables, dict(median_error=0.01, rank_correlation=0.99))


def test_a_measured_table_adds_its_latencies(space, tmp_path):
    table = latencies('nasbench_macro')
    table.write(tmp_path / 'latency.json')
    code, out, errors = space('nasbench_macro', '--latency', tmp_path / 'latency.json')
    assert (code, errors) == (0, '')
    (row,) = [line for line in out.splitlines() if line.startswith('latency')]
    values = [float(value) for value in re.findall(r'([\d.]+)ms', row)]
    # Eight positions of three candidates each: by hand over all archs.
    every = 0.5
    for entries in table.tables:
        every = np.add.outer(every, entries)
    assert every.size == 3**8
    assert values[0] == pytest.approx(every.min(), abs=0.006)
    assert values[4] == pytest.approx(every.max(), abs=0.006)
    quartiles = np.quantile(every, (0.25, 0.5, 0.75))
    assert values[1:4] == pytest.approx(quartiles, rel=0.02) and values == sorted(values)
    assert "latency.json: device 'cpu (x86_64)', threads 1" in out.splitlines()[-1]
    doubtful = replace(table, check=dict(median_error=0.5, rank_correlation=0.1))
    doubtful.write(tmp_path / 'latency.json')
    _, _, errors = space('nasbench_macro', '--latency', tmp_path / 'latency.json')
    assert errors.startswith('warning: ') and 'median error of 50%' in errors


def test_a_table_of_another_space_is_one_line(space, tmp_path):
    latencies('nasbench_macro').write(tmp_path / 'latency.json')
    code, out, errors = space('elastic_resnet18', '--latency', tmp_path / 'latency.json')
    assert (code, out) == (2, '') and errors.count('\n') == 1
    assert (
        "latencies of 'nasbench_macro' at widen_factor=1.0, expected 'elastic_resnet18'" in errors
    )
    code, _, errors = space('elastic_resnet18', '--latency', tmp_path / 'none.json')
    assert code == 2 and errors.startswith(f'error: {tmp_path}/none.json: no such file')


CONFIG = """
default_scope = 'mmseg'
custom_imports = dict(imports=['pinas_mm'])
model = dict(backbone=dict(
    type='pinas_mm.ElasticResNet', depth=18, widen_factor=0.25, strides=(1, 2, 1, 1),
    dilations=(1, 1, 2, 4), norm_cfg=dict(type='SyncBN')))
search_loop = dict(type='pinas_mm.SearchLoop', searcher=dict(type='random'), input_size=(64, 96))
"""


def test_a_config_in_place_of_a_name_has_its_own_width_strides_and_input_size(space, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    code, out, _ = space(path)
    assert code == 0 and 'costs at 64x96' in out
    assert 'elastic_resnet18 of pinas_mm.ElasticResNet: 12 slots' in out
    network = ResNet(
        18, stem_channels=16, base_channels=16, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)
    )
    for name, expected in zip(('backbone_macs', 'params'), millions(network.to('meta'), (64, 96))):
        row = next(line for line in out.splitlines() if line.startswith(name))
        assert float(re.findall(r'([\d.]+)M', row)[-1]) == pytest.approx(expected, abs=0.006)
    assert 'costs at 32x32' in space(path, '--input-size', 32)[1]
    path.write_text("model = dict(backbone=dict(type='mmpretrain.ResNet', depth=18))")
    code, _, errors = space(path)
    assert code == 2 and errors == (
        'error: ResNet has no searchable backbone: expected one of pinas_mm as model.backbone\n'
    )
    path.write_text("model = dict(type='mmpretrain.ImageClassifier')")
    code, _, errors = space(path)
    assert code == 2 and 'no model.backbone: expected a config with' in errors
