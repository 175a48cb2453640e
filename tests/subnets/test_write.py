import os

import pytest
import torch
import yaml

from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.subnets.write import write_subnet

SUBNET = SubnetFile('nasbench_macro', (2, 0) * 4, 0.25, {'accuracy/top1': 81.5}, dict(macs=3), 7)


def test_a_subnet_is_two_files_that_say_the_same(tmp_path):
    weight = torch.randn(3)
    path = write_subnet(tmp_path / 'new/found.pth', SUBNET, {'fc.weight': weight}, source='other')
    assert path == tmp_path / 'new/found.yaml' and SubnetFile.read(path) == SUBNET
    assert sorted(os.listdir(tmp_path / 'new')) == ['found.pth', 'found.yaml']
    checkpoint = load_checkpoint(tmp_path / 'new/found.pth')
    assert checkpoint['meta'] == yaml.safe_load(path.read_text()) | dict(source='other')
    assert checkpoint['meta']['arch'] == [2, 0, 2, 0, 2, 0, 2, 0]
    assert torch.equal(checkpoint['state_dict']['fc.weight'], weight)


def test_without_its_weights_there_is_no_subnet_file(tmp_path, monkeypatch):
    def full(*args):
        raise OSError('no space left')

    monkeypatch.setattr(torch, 'save', full)
    with pytest.raises(OSError, match='no space left'):
        write_subnet(tmp_path / 'subnet.pth', SUBNET, {})
    assert not os.listdir(tmp_path)
