"""How a config names a searcher, and how a searcher of another package gets in."""

import json
import sys

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from small_searchers import SMALL, Budget
from tiny_runner import Tiny

from pinas_mm.errors import InputError
from pinas_mm.searching.searchers import (
    SEARCHERS,
    Searcher,
    build_searcher,
    get_searcher,
    register_searcher,
    searcher_name,
)
from pinas_mm.searching.searchers.random import RandomSearcher
from pinas_mm.spaces import get_space

MACRO = get_space('nasbench_macro')
# One file: all that a new searcher needs beside its test.
ANNEALING = """
import numpy as np

from pinas_mm.searching.searchers import Searcher, register_searcher


@register_searcher('annealing')
class AnnealingSearcher(Searcher):
    def __init__(self, *args, heat=0.5, **kwargs):
        super().__init__(*args, **kwargs)
        self.heat = heat

    def propose(self, n):
        if not self.archs:
            return self.draw(n)
        self.draws += n
        return np.array([
            self.space.mutate(self.archs[-1], self.heat, self.rng) for _ in range(n)
        ])
"""


@pytest.fixture
def user_package(tmp_path, monkeypatch):
    """A package outside the project with one searcher; not imported yet."""
    package = tmp_path / 'users_searchers'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / 'annealing.py').write_text(ANNEALING)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = dict(SEARCHERS)
    yield 'users_searchers.annealing'
    SEARCHERS.clear()
    SEARCHERS.update(before)
    for module in [name for name in sys.modules if name.startswith('users_searchers')]:
        del sys.modules[module]


@pytest.mark.parametrize(
    'config, message',
    [
        (
            dict(type='random', populaton=3),
            r"searcher.populaton: unknown key, expected some of \['max_draws'\]",
        ),
        (
            dict(type='evolution', populaton=3),
            "searcher.populaton: unknown key, expected 'population'",
        ),
        (
            dict(type='partition_tree', num_inital=3, deph=2),
            "searcher.num_inital: unknown key, expected 'num_initial'",
        ),
        (dict(type='partition_tree', seed=3), 'searcher.seed: unknown key'),
        (
            dict(type='anealing'),
            r"searcher.type='anealing': no such searcher, expected one of \['evolution', 'nsga2', "
            r"'partition_tree', 'random'\]",
        ),
        (dict(), 'searcher.type=None: no such searcher'),
    ],
)
def test_misspelt_configs_are_named(config, message):
    before = dict(config)
    with pytest.raises(InputError, match=message):
        build_searcher(config, MACRO, None, 0)
    assert config == before


@pytest.mark.parametrize('name', ['random', *SMALL])
def test_configs_build_the_searcher_they_name(name):
    options = SMALL.get(name, {})
    budget, config = Budget(5), dict(type=name, max_draws=5000, **options)
    built = build_searcher(config, MACRO, budget, 7)
    assert type(built) is SEARCHERS[name] and built.feasible is budget and built.max_draws == 5000
    assert all(getattr(built, key) == value for key, value in options.items())
    assert config == dict(type=name, max_draws=5000, **options), 'the config is not edited'
    by_hand = SEARCHERS[name](MACRO, budget, seed=7, **options)
    other_seed = SEARCHERS[name](MACRO, budget, seed=8, **options)
    assert built.ask(3) == by_hand.ask(3) != other_seed.ask(3)


class Plain(RandomSearcher):
    """As written before searchers knew a budget."""

    def __init__(self, space, feasible=None, seed=0):
        super().__init__(space, feasible, seed)


class AbovePlain(Plain):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class HandsOn(RandomSearcher):
    def __init__(self, *args, margin=0.1, **kwargs):
        super().__init__(*args, **kwargs)


@pytest.mark.parametrize('cls, budget', [(Plain, 1000), (AbovePlain, 1000), (HandsOn, 7)])
def test_a_searcher_need_not_take_the_budget(cls, budget):
    searcher = build_searcher(dict(type=cls), MACRO, None, 3, 7)
    assert searcher.budget == budget and len(searcher.ask(4)) == 4


def test_a_class_and_its_dotted_path_mean_the_same_as_its_name():
    cls = SEARCHERS['random']
    path = 'pinas_mm.searching.searchers.random.RandomSearcher'
    assert get_searcher(cls) is get_searcher(path) is get_searcher('random') is cls
    assert searcher_name(cls) == searcher_name(path) == searcher_name('random') == 'random'


@pytest.mark.parametrize(
    'type_',
    [
        'nowhere.at.all.Searcher',
        'pinas_mm.searching.searchers.random.Missing',
        'pinas_mm.spaces.SearchSpace',
        'pinas_mm.random',
        dict,
        3,
    ],
)
def test_what_is_no_searcher_is_named(type_):
    with pytest.raises(
        InputError, match='searcher.type=.*: no such searcher, expected one of .*the dotted path'
    ):
        get_searcher(type_)


def test_an_import_that_fails_inside_a_users_module_keeps_its_traceback(user_package, tmp_path):
    file = tmp_path / 'users_searchers/annealing.py'
    file.write_text('import a_package_that_is_not_installed\n' + ANNEALING)
    with pytest.raises(ModuleNotFoundError, match='a_package_that_is_not_installed'):
        get_searcher(f'{user_package}.AnnealingSearcher')


def test_a_name_is_given_once(user_package):
    class Other(Searcher):
        def propose(self, n):
            return np.empty((0, 8), int)

    with pytest.raises(InputError, match="'random': pinas_mm.*RandomSearcher has it, choose"):
        register_searcher('random')(Other)
    with pytest.raises(InputError, match="'my.other': expected no dot"):
        register_searcher('my.other')
    first = get_searcher(f'{user_package}.AnnealingSearcher')
    del sys.modules[user_package]
    second = get_searcher(f'{user_package}.AnnealingSearcher')
    assert SEARCHERS['annealing'] is second is not first, 'a module loaded again is no conflict'


@pytest.mark.parametrize('way', ['name', 'path', 'class'])
def test_a_searcher_of_another_package_searches_through_a_search_loop(user_package, tmp_path, way):
    path = f'{user_package}.AnnealingSearcher'
    loop = dict(
        type='pinas_mm.SearchLoop',
        searcher=dict(type='annealing' if way == 'name' else path, heat=0.3),
        num_archs=6,
        ask_size=3,
        calibration_batches=1,
        calibration_dataloader=Tiny.digits(indices=16),
        input_size=32,
    )
    Config(
        dict(
            custom_imports=dict(imports=['pinas_mm', *([user_package] if way == 'name' else [])]),
            default_scope='mmpretrain',
            work_dir=str(tmp_path / 'work'),
            experiment_name=f'annealing_{way}',
            model=Tiny.classifier(widen_factor=0.125)
            | dict(head=dict(type='LinearClsHead', num_classes=10, in_channels=160)),
            test_cfg=loop,
            test_dataloader=Tiny.digits('held_out', indices=16),
            test_evaluator=dict(type='Accuracy', topk=(1,)),
        )
    ).dump(tmp_path / 'search.py')
    config = Config.fromfile(tmp_path / 'search.py')
    if way == 'class':
        config.test_cfg.searcher.type = get_searcher(path)
    runner = Runner.from_cfg(config)
    runner.test()
    searcher = runner.test_loop.searcher
    assert f'{type(searcher).__module__}.{type(searcher).__name__}' == path
    assert searcher.heat == 0.3 and len(searcher.archs) == 6
    header = json.loads((tmp_path / 'work/history.jsonl').read_text().splitlines()[0])
    assert header['searcher'] == dict(type='annealing', heat=0.3)
    assert (tmp_path / 'work/subnet.yaml').is_file()
