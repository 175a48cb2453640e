"""tests/tools/test_rank.py has the tool, which is the same function."""

import json
import os
from glob import glob

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

import pinas_mm as nas
from pinas_mm.api.arch_rank import _table
from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.errors import InputError
from pinas_mm.spaces import get_space

SPACE = get_space('nasbench_macro')


def truth(count=24):
    rng = np.random.default_rng(0)
    networks = {SPACE.canonical(SPACE.sample(rng)) for _ in range(count + 4)}
    return {
        SPACE.encode(arch): [80 + sum(arch) + rng.normal() for _ in range(2)]
        for arch in sorted(networks)[:count]
    }


def test_accuracies_may_be_numbers_lists_or_arrays(supernet):
    given = {
        '00000000': 70,
        '00000001': [70, 71.5],
        (2,) * 8: np.array([70.5, 71.5]),
        tuple(np.full(8, 1)): np.float32(71.5),
        '00000002': torch.tensor(72.0),
    }
    assert _table(given, supernet).trainings == {
        (0,) * 8: (70.0,),
        (0,) * 7 + (1,): (70.0, 71.5),
        (2,) * 8: (70.5, 71.5),
        (1,) * 8: (71.5,),
        (0,) * 7 + (2,): (72.0,),
    }


@pytest.mark.slow
def test_tau_is_that_of_the_scores_with_the_truth(supernet, tmp_path, capfd):
    known = truth()
    result = nas.rank(
        supernet, known, archs=12, sampling='uniform', few_truths=5, work_dir='ranking'
    )
    assert capfd.readouterr().out == ''
    archs, table = result.archs(), result.table()
    assert len(archs) == 12 and set(archs.code) <= set(known)
    assert list(archs.truth) == [np.mean(known[code]) for code in archs.code]
    for name in table.index:
        expected = kendalltau(archs[name], archs.truth).statistic
        assert result.tau[name] == table.tau[name] == pytest.approx(expected, nan_ok=True)
    # The supernet's scores are those of nas.evaluate.
    scores = nas.evaluate(supernet, list(archs.code))
    assert list(scores['accuracy/top1']) == list(archs['accuracy/top1'])
    assert list(scores.macs) == list(archs.macs)
    data = json.loads((tmp_path / 'ranking/ranking.json').read_text())
    assert data['samples']['uniform']['rankings']['macs']['tau']['value'] == result.tau['macs']
    assert (tmp_path / 'ranking/ranking.md').read_text() == result.text()
    assert 'few_truths (5)' in table.index and result.samplings == ['uniform']
    with pytest.raises(InputError, match=r"sampling='all': expected one of \['uniform'\]"):
        result.table('all')


@pytest.mark.slow
def test_without_weights_the_baselines_are_ranked_and_what_is_left_out_is_noted(config, tmp_path):
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(truth(12)))
    result = nas.rank(nas.supernet(config), path)
    assert 'macs' in result.tau and 'accuracy/top1' not in result.tau
    assert result.samplings == ['uniform', 'stratified']
    assert [note.partition(' is left out')[0] for note in result.notes] == [
        'few_truths',
        'equal-cost',
    ]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_with_a_new_head_the_baselines_are_ranked(checkpoint, images):
    state = load_checkpoint(checkpoint)['state_dict']
    torch.save({key: value for key, value in state.items() if 'head' not in key}, 'backbone.pth')
    own = nas.supernet(
        'nasbench_macro',
        'backbone.pth',
        train=images[0],
        val=images[1],
        overrides={'model.head.num_classes': 10, 'model.backbone.widen_factor': 0.25},
    )
    torch.manual_seed(5)
    expected, before = torch.get_rng_state(), open_files()
    result = nas.rank(own, truth(12), sampling='uniform')
    assert 'macs' in result.tau and 'accuracy/top1' not in result.tau
    assert torch.equal(torch.get_rng_state(), expected)
    assert open_files() == before


def open_files():
    """Of this process, those that were removed."""
    found = [os.readlink(path) for path in glob('/proc/self/fd/*') if os.path.islink(path)]
    return [path for path in found if path.endswith('.log (deleted)')]


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(sampling='some'), "sampling='some': expected one of "),
        (dict(archs=3), 'archs=3: expected a whole number of at least 10'),
        (dict(few_truths=1), 'few_truths=1: expected at least [0-9]+, or 0 for none'),
        (dict(scores=['acc']), r"scores=\['acc'\] needs trained weights"),
        (dict(truth={'0123': 70.0}), r'truth: \[0, 1, 2, 3\] has 4 entries'),
        (dict(truth={'00000000': 170.0}), 'truth: accuracy 170 of arch 00000000'),
        (dict(truth={'00000000': 'good'}), "truth: accuracy 'good' of arch 00000000: expected a n"),
        (dict(truth={'00000000': np.zeros((1, 2))}), 'truth: accuracy .* of arch 00000000: expec'),
        (dict(truth={'00000000': []}), 'truth: no accuracy of arch 00000000, expected'),
        (
            dict(truth={'00000000': 70.0, (0,) * 8: 71.0}),
            r'truth: 00000000 is there twice, the second time as \(0, 0, 0, 0, 0, 0, 0, 0\)',
        ),
        (dict(truth='none.json'), 'none.json'),
    ],
)
def test_what_does_not_fit_is_named(config, change, message):
    with pytest.raises((InputError, FileNotFoundError), match=message):
        nas.rank(nas.supernet(config), **dict(truth=truth()) | change)
