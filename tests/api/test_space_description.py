import numpy as np
import pytest
import torch
from mmpretrain.models import ResNet
from torch.utils.flop_counter import FlopCounterMode

import pinas_mm as nas
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import ElasticResNet
from pinas_mm.spaces import SPACES, get_space


def test_the_slots_have_their_candidates_by_name():
    slots = nas.space('nasbench_macro').describe(32).slots()
    assert list(slots.stage) == ['0', '0', '1', '1', '1', '2', '2', '2']
    assert list(slots.position) == [*'01234567']
    assert list(slots.candidates) == [['identity', 'mb3_k3', 'mb6_k5']] * 8
    cells = nas.space('nasbench201').describe(32).slots()
    assert cells.position[0] == '0-4,6-10,12-16'  # every cell, with reductions between


def test_the_range_of_costs_is_counted_on_the_smallest_and_the_largest_network():
    costs = nas.space('elastic_resnet18').describe((64, 96)).costs()
    for end, net in (('least', ElasticResNet(18, arch='0' * 12)), ('most', ResNet(18))):
        net.to('meta').eval()
        with FlopCounterMode(display=False) as counter:
            net(torch.zeros(1, 3, 64, 96, device='meta'))
        assert costs[end].backbone_macs == counter.get_total_flops() / 2
        assert costs[end].params == sum(each.numel() for each in net.parameters())
    assert (np.diff(costs.to_numpy()) > 0).all()


def test_printed_it_is_a_table():
    text = str(nas.space('elastic_resnet18').describe())
    lines = text.splitlines()
    assert lines[0] == 'elastic_resnet18 of pinas_mm.ElasticResNet: 12 slots, 1.05e+05 archs'
    assert len(lines) == 2 + 12 + 2 + 2 and max(map(len, lines)) <= 100


def test_the_space_itself_is_there():
    found = nas.space('nasbench_macro')
    assert found.space is get_space('nasbench_macro')
    assert repr(found) == 'nasbench_macro: 8 slots, 6.56e+03 archs'


def test_an_unknown_name_lists_all_names():
    with pytest.raises(InputError) as error:
        nas.space('macro')
    assert all(repr(name) in str(error.value) for name in SPACES)
    with pytest.raises(InputError, match='name=3: expected the name of a space'):
        nas.space(3)
    for size in (0, 2.5, (32, True)):
        with pytest.raises(InputError, match='input_size=.*expected a whole number of at least 1'):
            nas.space('nasbench_macro').describe(size)
