import json
import sys

import pytest
from report_dirs import SPACE, drawn

from pinas_mm.costs import measure_costs
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet, SearchableNASBench201
from pinas_mm.visualization.run_facts import (
    RunFacts,
    command_line,
    costliest_arch,
    data_text,
    drawn_arch,
    package_versions,
    unique,
)

FACTS = RunFacts(
    'search',
    'nasbench_macro',
    limits=dict(macs=(None, 4e6), params=(1e3, None)),
    seconds=3.5,
    warnings=('odd',),
    drawings=dict(winner=drawn((1,) * 8)),
)


def test_round_trip(tmp_path):
    assert RunFacts.read(tmp_path) is None
    FACTS.write(tmp_path)
    assert RunFacts.read(tmp_path) == FACTS


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(kind='walk'), "kind='walk'"),
        (dict(seconds=-1), 'seconds=-1'),
        (dict(hacked=1), 'hacked: unknown key'),
        (dict(limits=dict(macs=[1])), 'limits.macs'),
        (dict(drawings=dict(winner=dict(arch=[9]))), 'drawings.winner'),
        (dict(drawings=dict(winner=dict(arch=[0] * 8, macs=[1.0]))), 'macs has 1 numbers'),
    ],
)
def test_wrong_facts_are_named(tmp_path, change, message):
    FACTS.write(tmp_path)
    path = tmp_path / 'report.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message) as error:
        RunFacts.read(tmp_path).of_space(SPACE, str(path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    'backbone', [SearchableMacroNet(widen_factor=0.25), SearchableNASBench201(widen_factor=0.5)]
)
def test_a_drawn_arch_has_all_macs_of_the_model(backbone):
    costs = measure_costs(backbone, 32)
    for arch in (costliest_arch(costs), (1,) * backbone.space.num_slots):
        found = drawn_arch(costs, arch)
        assert sum(found.macs) + found.other_macs == pytest.approx(costs.arch_costs(arch)['macs'])
    assert costs.arch_costs(costliest_arch(costs))['macs'] == costs.range('macs')[1]


def test_the_command_is_that_of_a_tool(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['tools/search.py', 'a b.py', '--resume'])
    assert command_line() == "python tools/search.py 'a b.py' --resume"
    for argv in (['/x/ipykernel_launcher.py', '-f', 'k.json'], ['-c'], ['/usr/bin/jupyter'], []):
        monkeypatch.setattr(sys, 'argv', argv)
        assert command_line() is None


def test_versions_are_of_what_is_imported(monkeypatch):
    import torch

    monkeypatch.delitem(sys.modules, 'mmdet', raising=False)
    found = package_versions()
    assert found['torch'] == torch.__version__ and 'mmdet' not in found


def test_data_in_a_line():
    inner = dict(type='mmdet.CocoDataset', data_root='data/coco', ann_file='a.json')
    wrapped = dict(type='pinas_mm.SeededSplit', dataset=inner)
    assert data_text(wrapped, dict(samples=5000)) == (
        'SeededSplit, of CocoDataset, data_root data/coco, ann_file a.json, 5,000 samples'
    )
    assert data_text(dict(type='Digits')) == 'Digits' and data_text(None) == 'none'
    assert data_text('TorchImages(samples=64)', dict(samples=64)) == 'TorchImages(samples=64)'


def test_texts_are_there_once():
    assert unique(['b', 'a', 'b']) == ('b', 'a') and len(unique(list(map(str, range(99))))) == 30
