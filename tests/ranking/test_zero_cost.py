from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from scipy.stats import norm, rankdata
from tiny_chain import TinyTanhNet, tiny_net

from pinas_mm.costs import measure_costs
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.ranking.training_free import training_free_scores
from pinas_mm.ranking.zero_cost import TOGETHER, with_training_free, zero_cost_scores

TOP = Path(__file__).parents[2]
ROWS = ['macs', 'params', 'depth', 'synflow', 'naswot', 'swap', 'wrcor', 'az_nas', 'training-free']


def test_rows_are_costs_and_training_free_scores():
    backbone, archs = SearchableMacroNet(widen_factor=0.125), [(1, 0, 2, 0, 0, 1, 0, 0), (2,) * 8]
    images, steps = torch.randn(4, 3, 8, 8), []
    costs = measure_costs(backbone, 8)
    found = zero_cost_scores(backbone, archs, costs, images, lambda *step: steps.append(step))
    assert list(found) == ROWS and steps == [(1, 2), (2, 2)]
    assert found['macs'].tolist() == costs.array('macs', archs).tolist()
    assert found['depth'].tolist() == [3, 8]
    parts = ['az_expressivity', 'az_progressivity', 'az_trainability']
    names = [*ROWS[3:7], *parts]
    alone = training_free_scores(backbone, archs, images, names)
    for name in ROWS[3:7]:
        np.testing.assert_allclose(found[name], alone[name], err_msg=name)
    ranks = [rankdata(values) / 2 for values in (found['macs'], *(alone[name] for name in parts))]
    np.testing.assert_allclose(found['az_nas'], np.log(ranks).sum(axis=0))
    # Of two archs each quartile is a quarter of the way from the other: the better one is half
    # their distance, 1.349 of its deviations, above the median.
    by_hand = sum(
        weight * norm.cdf(1.349 * np.sign(values - values.mean()))
        for weight, values in zip((2, 0.5, 0.5, 1), (alone[name] for name in ('swap', *parts)))
    )
    np.testing.assert_allclose(found['training-free'], by_hand)
    joined = with_training_free(np.array([5.0, 3.0]), found)
    np.testing.assert_allclose(joined - by_hand, norm.cdf([1.349, -1.349]))


def test_the_sum_is_that_of_the_search_configs():
    config = Config.fromfile(TOP / 'configs/_base_/search_without_training.py')
    assert config.search_loop.score == TOGETHER


def test_a_network_through_which_nothing_flows_is_last():
    net, archs = tiny_net(), [(0, 0), (2, 1), (1, 1)]
    found = zero_cost_scores(net, archs, measure_costs(net, 4), torch.randn(3, 3, 4, 4))
    for name in ROWS[3:]:
        assert np.isfinite(found[name]).all() and found[name][1] < found[name][2]


def test_without_activations_the_scores_that_count_them_are_left_out(monkeypatch):
    said = []
    monkeypatch.setattr('pinas_mm.ranking.zero_cost.warn_once', said.append)
    net, archs = TinyTanhNet(), [(0, 1), (1, 1)]
    found = zero_cost_scores(net, archs, measure_costs(net, 4), torch.randn(3, 3, 4, 4))
    assert list(found) == ['macs', 'params', 'depth', 'synflow', 'az_nas', 'training-free']
    assert len(said) == 1 and 'TinyTanhNet' in said[0] and "['naswot', 'swap', 'wrcor']" in said[0]


@pytest.mark.parametrize('channels', [1, 4])
def test_networks_that_read_other_channels_than_three_are_scored(channels):
    backbone = SearchableMacroNet(widen_factor=0.125, in_channels=channels)
    images = torch.randn(4, channels, 8, 8)
    found = zero_cost_scores(backbone, [(1,) * 8], measure_costs(backbone, 8), images)
    assert all(np.isfinite(values).all() for values in found.values())
