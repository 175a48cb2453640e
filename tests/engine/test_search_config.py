import copy

import pytest
from mmengine.config import Config

from pinas_mm.engine import SearchLoop
from pinas_mm.engine.config import load_config
from pinas_mm.engine.search_config import search_config
from pinas_mm.errors import InputError


@pytest.fixture
def config(tiny):
    return Config(
        dict(
            train_dataloader=tiny.digits(),
            val_dataloader=tiny.digits('held_out'),
            val_evaluator=[dict(type='Accuracy', topk=(1,))],
            val_cfg=dict(type='pinas_mm.ArchValLoop'),
            test_dataloader=tiny.digits('test'),
            test_evaluator=dict(type='Accuracy', topk=(5,)),
            test_cfg=dict(),
            search_loop=dict(type='pinas_mm.SearchLoop', input_size=32, num_archs=7),
        )
    )


def test_the_search_takes_the_place_of_the_test_and_is_scored_on_the_held_out_part(config):
    before = copy.deepcopy(config.to_dict())
    found = search_config(config)
    assert found.test_cfg == before['search_loop'] and 'search_loop' not in found
    assert found.test_dataloader == before['val_dataloader']
    assert found.test_evaluator == before['val_evaluator']
    assert found.val_cfg is found.val_dataloader is found.val_evaluator is None
    assert found.train_dataloader == before['train_dataloader']
    assert config.to_dict() == before, 'the config itself is left as it was'


@pytest.mark.parametrize(
    'change, message',
    [
        (
            dict(test_cfg=dict(type='pinas_mm.SearchLoop', input_size=32)),
            r"config: test_cfg=dict\(type='pinas_mm.SearchLoop', ...\): expected the same as "
            r'search_loop=dict\(...\), which is scored on val_dataloader',
        ),
        (dict(search_loop=None), 'search_loop=None: not a search config: expected search_loop='),
        (dict(search_loop=dict(type='TestLoop', input_size=32)), "'TestLoop'.*: not a search"),
        (
            dict(search_loop=dict(_delete_=True, type='pinas_mm.SearchLoop')),
            "not a search config: expected search_loop=.*'pinas_mm.SearchLoop', .*input_size=224",
        ),
        (
            dict(val_dataloader=None, val_evaluator=None),
            'no val_dataloader, val_evaluator: expected a held-out part of the training set',
        ),
    ],
)
def test_what_is_no_search_config_is_named(config, change, message):
    config.merge_from_dict(change)
    with pytest.raises(InputError, match=message):
        search_config(config)


@pytest.mark.parametrize(
    'kind',
    [
        'pinas_mm.SearchLoop',
        'pinas_mm.engine.SearchLoop',
        'pinas_mm.engine.search_loop.SearchLoop',
        SearchLoop,
    ],
)
def test_the_loop_may_be_named_in_every_way_that_mm_has(config, kind):
    config.search_loop.type = kind
    assert search_config(config).test_cfg.type == kind
    config.test_cfg = config.search_loop
    with pytest.raises(InputError, match='test_cfg=.*: expected the same as search_loop='):
        search_config(config)


def test_a_search_in_the_pure_python_dialect(tmp_path):
    (tmp_path / 'base.py').write_text(
        'from pinas_mm.engine import SearchLoop\n'
        'model = dict(a=1)\n'
        'search_loop = dict(type=SearchLoop, input_size=32, searcher=dict(type="random"))\n'
        'val_dataloader = dict(dataset=dict(type="pinas_mm.Digits"))\n'
        'val_evaluator = dict(type="mmpretrain.Accuracy")\n'
    )
    (tmp_path / 'lazy.py').write_text(
        'from mmengine.config import read_base\nwith read_base():\n    from .base import *\n'
    )
    assert search_config(load_config(tmp_path / 'lazy.py', {})).test_cfg.type is SearchLoop
