import pytest
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper as GPUAmpOptimWrapper
from mmengine.optim import OptimWrapper
from our_configs import TOP

from pinas_mm import compat
from pinas_mm.engine import config as config_module
from pinas_mm.engine.config import (
    load_config,
    option_values,
    read_config_file,
    use_amp,
    use_auto_scale_lr,
)
from pinas_mm.errors import InputError
from pinas_mm.strategies import DSNASAmpOptimWrapper, DSNASOptimWrapper, amp


def test_options_have_the_values_that_mmengine_reads():
    assert option_values(['a.b=2', 'c=3,4', 'd=x=y', 'e=[(1,2.5),None]', 'f=true', 'a.b=5']) == {
        'a.b': 5,
        'c': [3, 4],
        'd': 'x=y',
        'e': [(1, 2.5), None],
        'f': True,
    }
    assert option_values([]) == {}
    with pytest.raises(InputError, match=r'a=1 b=\[1,2: Imbalanced brackets'):
        option_values(['a=1', 'b=[1,2'])


def test_a_config_of_a_package_is_named_as_a_base_is():
    """A wheel has no configs/ beside it."""
    name = 'pinas/pinas_nasbench-macro-search_cifar10.py'
    found = read_config_file(f'pinas_mm::{name}', {})
    assert found.to_dict() == read_config_file(TOP / name, {}).to_dict()
    for wrong in ('pinas_mm::none.py', 'other::none.py'):
        with pytest.raises(InputError, match=wrong):
            read_config_file(wrong, {})


def test_overrides_are_merged(tmp_path):
    (tmp_path / 'tiny.py').write_text('model = dict(b=1, c=[1, 2])\n')
    assert load_config(tmp_path / 'tiny.py', {'model.b': 2, 'd': 3}).to_dict() == dict(
        model=dict(b=2, c=[1, 2]), d=3
    )


@pytest.mark.parametrize('key', ['model.c.d', 'model.c.2.d', 'model.c.-1.d'])
def test_overrides_that_go_into_a_list_need_an_index(tmp_path, key):
    (tmp_path / 'tiny.py').write_text('model = dict(c=[dict(d=1), dict(d=2)])\n')
    with pytest.raises(InputError) as caught:
        load_config(tmp_path / 'tiny.py', {key: 3})
    line = str(caught.value)
    assert f'tiny.py: {key}: model.c is a list of 2, expected the index of an entry' in line
    assert line.endswith(', such as model.c.0' + ('.-1.d' if '-' in key else '.d'))
    given = load_config(tmp_path / 'tiny.py', {'model.c.1.d': 3})
    assert given.to_dict() == dict(model=dict(c=[dict(d=1), dict(d=3)]))


@pytest.fixture(autouse=True)
def bfloat16(monkeypatch):
    """A processor that has it."""
    monkeypatch.setattr(amp, 'computes_in_bfloat16', lambda: True)


TREE = (
    'model = dict(a=1)\nsearch_loop = dict(num_archs=80, input_size=32, '
    'searcher=dict(type="partition_tree", num_initial=32))\n'
)
NSGA = 'search_loop = dict(searcher=dict(type="nsga2"))\n'


@pytest.fixture
def searcher_of(tmp_path, monkeypatch):
    """The searcher of a chain of config files, each based on the one before, and what was said."""

    def read(*files, **overrides):
        said = []
        monkeypatch.setattr(config_module, 'warn_once', said.append)
        for number, text in enumerate(files):
            base = f"_base_ = './{number - 1}.py'\n" if number else ''
            (tmp_path / f'{number}.py').write_text(base + text)
        overrides = {f'search_loop.searcher.{key}': value for key, value in overrides.items()}
        config = load_config(tmp_path / f'{len(files) - 1}.py', overrides)
        assert config.search_loop.num_archs == 80, 'the rest stays'
        return config.search_loop.searcher.to_dict(), said

    return read


@pytest.mark.parametrize(
    'files, overrides',
    [
        ([TREE], dict(type='nsga2')),
        ([TREE, NSGA], {}),
        ([TREE, 'x = 1\n', NSGA, 'y = 2\n'], {}),
        ([TREE, 'x = 1\n'], dict(type='pinas_mm.searching.searchers.nsga2.NSGA2Searcher')),
    ],
)
def test_a_changed_type_of_searcher_drops_what_it_inherits_and_does_not_know(
    searcher_of, files, overrides
):
    searcher, said = searcher_of(*files, **overrides)
    assert searcher == dict(type=overrides.get('type', 'nsga2'))
    assert said == [
        f'search_loop.searcher is of type {searcher["type"]!r} and does not take over '
        f"num_initial=32 of 'partition_tree'"
    ]


def test_what_both_searchers_know_is_taken_over(searcher_of):
    base = TREE.replace('num_initial=32', 'max_draws=500, num_initial=32, depth=3')
    searcher, said = searcher_of(base, type='evolution', mutation=0.2)
    assert searcher == dict(type='evolution', max_draws=500, mutation=0.2)
    assert len(said) == 1 and "num_initial=32 of 'partition_tree', depth=3 of" in said[0]


@pytest.mark.parametrize(
    'files, overrides, wrong',
    [
        ([TREE], dict(type='nsga2', num_initial=20), 'num_initial'),
        ([TREE, NSGA.replace(')', ', num_initial=20)', 1)], {}, 'num_initial'),
        ([TREE], dict(num_inital=20), 'num_inital'),
        ([TREE.replace('num_initial', 'num_inital')], {}, 'num_inital'),
        ([TREE.replace('num_initial', 'num_inital'), 'x = 1\n'], dict(depth=3), 'num_inital'),
        ([TREE], dict(type='random', populaton=3), 'populaton'),
    ],
)
def test_what_the_user_wrote_is_an_error_where_the_searcher_does_not_know_it(
    searcher_of, files, overrides, wrong
):
    with pytest.raises(InputError, match=rf'^search_loop\.searcher\.{wrong}: unknown key'):
        searcher_of(*files, **overrides)


class OwnAmpOptimWrapper(DSNASAmpOptimWrapper):
    """As a user derives it."""


class OwnOptimWrapper(DSNASOptimWrapper):
    pass


@pytest.mark.parametrize(
    'name, expected',
    [
        ('OptimWrapper', 'pinas_mm.AmpOptimWrapper'),
        (None, 'pinas_mm.AmpOptimWrapper'),
        ('AmpOptimWrapper', 'pinas_mm.AmpOptimWrapper'),
        ('pinas_mm.DSNASOptimWrapper', 'pinas_mm.DSNASAmpOptimWrapper'),
        ('pinas_mm.SubnetAwareOptimWrapper', 'pinas_mm.SubnetAwareAmpOptimWrapper'),
        ('pinas_mm.SubnetAwareAmpOptimWrapper', 'pinas_mm.SubnetAwareAmpOptimWrapper'),
        ('mmengine.optim.OptimWrapper', 'pinas_mm.AmpOptimWrapper'),
        (OptimWrapper, 'pinas_mm.AmpOptimWrapper'),
        ('pinas_mm.strategies.DSNASOptimWrapper', 'pinas_mm.DSNASAmpOptimWrapper'),
        (DSNASOptimWrapper, 'pinas_mm.DSNASAmpOptimWrapper'),
        (OwnAmpOptimWrapper, OwnAmpOptimWrapper),
    ],
)
def test_every_wrapper_has_a_form_for_mixed_precision(name, expected):
    wrapper = dict(optimizer=dict(type='SGD', lr=0.1)) | (dict(type=name) if name else {})
    config = Config(dict(optim_wrapper=wrapper))
    use_amp(config)
    assert config.optim_wrapper.to_dict() == wrapper | dict(type=expected, loss_scale='dynamic')
    config.optim_wrapper.loss_scale = 512
    use_amp(config)
    assert config.optim_wrapper.loss_scale == 512


@pytest.mark.parametrize('kind', [OwnOptimWrapper, 'OwnOptimWrapper'])
def test_a_wrapper_of_ones_own_has_to_name_its_form_for_mixed_precision(kind):
    config = Config(dict(optim_wrapper=dict(type=kind)))
    with pytest.raises(InputError, match='optim_wrapper of type .*OwnOptimWrapper.*expected .*Amp'):
        use_amp(config)


def test_a_config_of_a_package_that_is_missing_says_what_to_install(tmp_path, monkeypatch):
    """A generated config names no file of that package, so nothing else would notice before its
    types are looked for."""
    (tmp_path / 'detector.py').write_text("default_scope = 'mmdet'\n")
    monkeypatch.setattr(compat, 'find_spec', lambda name: None)
    with pytest.raises(
        InputError,
        match="default_scope='mmdet': mmdet is not installed: pip install onedl-mmdetection or "
        'mmdet',
    ):
        load_config(tmp_path / 'detector.py', {})


@pytest.fixture
def lazy(tmp_path):
    """Writes a config in mmengine's pure-Python dialect, which inherits an optimiser wrapper."""
    (tmp_path / 'base.py').write_text(
        'from torch.optim import SGD\n'
        'from pinas_mm.strategies import DSNASOptimWrapper\n'
        'model = dict(a=1)\n'
        'optim_wrapper = dict(type=DSNASOptimWrapper, optimizer=dict(type=SGD, lr=0.1))\n'
    )
    (tmp_path / 'lazy.py').write_text(
        'from mmengine.config import read_base\nwith read_base():\n    from .base import *\n'
    )
    return tmp_path / 'lazy.py'


def test_the_form_for_mixed_precision_of_a_class_that_a_pure_python_config_inherits(lazy):
    config = load_config(lazy, {})
    use_amp(config)
    assert config.optim_wrapper.type == 'pinas_mm.DSNASAmpOptimWrapper'


class OwnGPUOptimWrapper(GPUAmpOptimWrapper):
    pass


def test_a_form_of_mmengines_that_refuses_a_cpu_is_refused_at_once(monkeypatch):
    config = Config(dict(optim_wrapper=dict(type=OwnGPUOptimWrapper)))
    with pytest.raises(InputError, match='a subclass of pinas_mm.AmpOptimWrapper'):
        use_amp(config)
    monkeypatch.setattr('pinas_mm.engine.config.get_device', lambda: 'cuda')
    use_amp(config)
    assert config.optim_wrapper.type is OwnGPUOptimWrapper


def test_a_processor_without_bfloat16_is_told_to_leave_it_out(monkeypatch):
    monkeypatch.setattr(amp, 'computes_in_bfloat16', lambda: False)
    with pytest.raises(InputError, match='no GPU, .*does not compute in bfloat16.*leave --amp out'):
        use_amp(Config(dict(optim_wrapper={})))


def test_mixed_precision_needs_an_optimiser_wrapper():
    with pytest.raises(InputError, match='--amp: config has no optim_wrapper: expected a config'):
        use_amp(Config(dict(search_loop={})))


@pytest.mark.parametrize(
    'scaling', [None, {}, dict(enable=False), dict(base_batch_size=0), dict(base_batch_size='256')]
)
def test_scaling_the_learning_rate_needs_the_batch_size_that_it_is_for(scaling):
    config = Config({} if scaling is None else dict(auto_scale_lr=scaling))
    with pytest.raises(
        InputError, match=r'--auto-scale-lr: config has auto_scale_lr.base_batch_si'
    ):
        use_auto_scale_lr(config)


def test_the_learning_rate_is_scaled():
    config = Config(dict(auto_scale_lr=dict(base_batch_size=256)))
    use_auto_scale_lr(config)
    assert config.auto_scale_lr == dict(base_batch_size=256, enable=True)
