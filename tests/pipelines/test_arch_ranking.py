"""The rankers of tools/rank.py without a training; tests/tools/test_rank.py runs them all."""

import re

import pytest
import torch
from mmengine.config import Config

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.errors import InputError
from pinas_mm.pipelines import arch_ranking
from pinas_mm.pipelines.arch_ranking import (
    archs_with_known_truth,
    check_ranking_config,
    dsnas_scores,
    metrics_by_name,
)
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.spaces import get_space
from pinas_mm.strategies import ArchLogits

SPACE = get_space('nasbench_macro')


def test_a_config_that_does_not_say_how_archs_are_scored_is_named():
    config = Config(dict(val_dataloader=dict(batch_size=1), val_evaluator=dict(type='Accuracy')))
    with pytest.raises(InputError, match='no arch_evaluation: expected a config of a supernet'):
        check_ranking_config(config)
    check_ranking_config(Config(dict(config, arch_evaluation=dict(calibration_batches=1))))


def test_a_table_whose_networks_are_all_ranked_leaves_no_truths():
    archs = [(0,) * 8, (1,) * 8, (2,) * 8]
    table = TruthTable(SPACE, {arch: (70.0,) for arch in archs}, 'truth.json')
    for count, said in ((0, []), (5, ['few_truths is left out: 0 networks .* 5 asked'])):
        notes = []
        assert archs_with_known_truth(table, archs, count, 0, notes) == []
        assert len(notes) == len(said) and all(map(re.search, said, notes))


def test_what_dsnas_learned_scores_archs_by_their_probability(tmp_path):
    logits = ArchLogits(SPACE)
    with torch.no_grad():
        logits.rows[0][2] = 5.0
    state = dict(optimizer=dict(dsnas=dict(logits=logits.state_dict())), state_dict={})
    torch.save(state, tmp_path / 'dsnas.pth')
    likely, unlikely = dsnas_scores(tmp_path / 'dsnas.pth', SPACE, [(2,) * 8, (0,) * 8])
    assert likely - unlikely == pytest.approx(5.0)
    save_checkpoint(tmp_path / 'plain.pth', {}, {})
    assert dsnas_scores(tmp_path / 'plain.pth', SPACE, [(0,) * 8]) is None


def test_a_metric_that_is_missing_for_one_arch_is_named(tiny, monkeypatch):
    """It was a KeyError."""
    archs = [(0,) * 8, (1,) * 8, (2,) * 8]
    found = [dict(x=1.0, y=2.0), dict(x=1.5), dict(x=2.0, y=3.0)]
    monkeypatch.setattr(arch_ranking, 'supernet_scores', lambda *_: found)
    runner = tiny.runner()
    with pytest.raises(
        InputError, match='^y of 1 of 3 archs is missing or not finite, the first is 11111111: '
    ):
        metrics_by_name(runner, archs, 0, None)
    assert metrics_by_name(runner, archs, 0, ['x'])['x'].tolist() == [1.0, 1.5, 2.0]
