import pytest
import torch
from mmengine.runner import Runner

import pinas_mm as nas
from pinas_mm.api.arch_scores import given_arch
from pinas_mm.errors import InputError
from pinas_mm.spaces import get_space
from pinas_mm.spaces.subnet_file import SubnetFile

SPACE = get_space('nasbench_macro')
NAMES = 'mb3_k3, identity, mb6_k5, identity, identity, mb3_k3, mb3_k3, mb6_k5'


def test_archs_score_as_mms_own_test_loop_scores_their_subnets(supernet, config, tmp_path):
    """Each subnet with its weights, by mmengine's Runner on the held-out images."""
    table = nas.evaluate(supernet, ['22212220', NAMES])
    assert list(table.code) == ['22212220', '10200112'] and table.error.isna().all()
    assert table.arch[1] == NAMES
    result = nas.search(supernet, archs=2, searcher='random')
    for _, row in table.iterrows():
        found = result.subnet(row.code)
        state = found.model().state_dict()
        runner = Runner.from_cfg(
            dict(
                model=dict(
                    config.model, backbone=dict(config.model.backbone, arch=[*map(int, row.code)])
                ),
                test_dataloader=config.val_dataloader,
                test_evaluator=config.val_evaluator,
                test_cfg=dict(),
                work_dir=str(tmp_path / 'theirs'),
                experiment_name=f'theirs {row.code} {tmp_path}',
                default_scope='mmpretrain',
            )
        )
        runner.model.load_state_dict(state)
        assert runner.test()['accuracy/top1'] == row['accuracy/top1']
        assert row.params == sum(value.numel() for value in runner.model.parameters())
        assert found.costs == {name: row[name] for name in ('macs', 'backbone_macs', 'params')}


def test_scores_are_those_of_the_search(supernet):
    found = nas.search(supernet, archs=3, searcher='random').table()
    table = nas.evaluate(supernet, list(found.arch))
    for name in ('arch', 'code', 'accuracy/top1', 'macs', 'backbone_macs', 'params'):
        assert list(table[name]) == list(found[name])


def test_the_supernet_is_left_as_it_was(supernet):
    before = {key: value.clone() for key, value in supernet.model.state_dict().items()}
    nas.evaluate(supernet, ['00000000'])
    assert all(
        torch.equal(value, before[key]) for key, value in supernet.model.state_dict().items()
    )


@pytest.mark.parametrize(
    'given', ['10200112', '1,0,2,0,0,1,1,2', [1, 0, 2, 0, 0, 1, 1, 2], NAMES, NAMES.split(', ')]
)
def test_an_arch_may_be_given_by_indices_or_names(given):
    assert given_arch(given, SPACE, 'arch') == (1, 0, 2, 0, 0, 1, 1, 2)


def test_a_subnet_file_may_have_any_name(tmp_path):
    for name in ('a,b/subnet.yaml', 'a, b.yaml'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        SubnetFile('nasbench_macro', (1, 0, 2, 0, 0, 1, 1, 2)).write(path)
        for given in (path, str(path)):
            assert given_arch(given, SPACE, 'arch') == (1, 0, 2, 0, 0, 1, 1, 2)


@pytest.mark.parametrize(
    'archs, message',
    [
        ('22212220', r"archs='22212220': expected a list of archs, such as \['00000000'\]"),
        ([], r'archs=\[\]: expected a list'),
        (['2221222'], r'archs\[0\]: \[2, 2, 2, 1, 2, 2, 2\] has 7 entries'),
        (['22212220', '22212229'], r'archs\[1\]: slot 7 holds 9'),
        ([['identity'] * 7], r'archs\[0\]: .* are 7 candidates, but .* 8 slots'),
        ([NAMES.replace('mb6', 'mb7')], r"archs\[0\]: slot 2 is 'mb7_k5', expected one of \['iden"),
    ],
)
def test_what_is_no_list_of_archs_is_named(supernet, archs, message):
    with pytest.raises(InputError, match=message):
        nas.evaluate(supernet, archs)


def test_random_weights_are_not_scored(config):
    with pytest.raises(InputError, match='nas.evaluate needs trained weights'):
        nas.evaluate(nas.supernet(config), ['22212220'])
