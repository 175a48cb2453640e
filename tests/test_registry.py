import functools
import subprocess
import sys

import pytest
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import MODELS as ROOT_MODELS
from mmpretrain.models import ImageClassifier
from torch.optim import SGD

from pinas_mm.datasets import SeededSplit
from pinas_mm.engine import ArchSamplingHook
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.registry import HOOKS, MODELS, TRANSFORMS, class_of, with_type_names
from pinas_mm.scoring.race import Race
from pinas_mm.searching.searchers import get_searcher
from pinas_mm.spaces import get_space


@pytest.mark.parametrize('registry', [HOOKS, ROOT_HOOKS])
@pytest.mark.parametrize(
    'kind',
    [
        'pinas_mm.ArchSamplingHook',
        'pinas_mm.engine.hooks.ArchSamplingHook',
        'pinas_mm.engine.hooks.arch_sampling_hook.ArchSamplingHook',
        ArchSamplingHook,
    ],
)
def test_every_way_to_name_a_class_is_understood(registry, kind):
    for config in (kind, dict(type=kind), ConfigDict(type=kind)):
        assert class_of(config, registry) is ArchSamplingHook


def test_text_without_a_scope_is_of_the_default_scope():
    assert class_of('ArchSamplingHook', HOOKS, 'pinas_mm') is ArchSamplingHook
    assert class_of('ArchSamplingHook', HOOKS, 'mmpretrain') is object
    for registry in (MODELS, ROOT_MODELS):
        assert class_of(dict(type='ImageClassifier'), registry, 'mmpretrain') is ImageClassifier
        assert class_of('pinas_mm.SearchableMacroNet', registry, 'mmdet') is SearchableMacroNet


@pytest.mark.parametrize(
    'config',
    [
        None,
        {},
        dict(type=None),
        'pinas_mm.ArchSamplingHok',
        'ArchSamplingHok',
        'no_such_package.Hook',
        'pinas_mm.engine.hooks.None',
        functools.partial(ArchSamplingHook, seed=1),
        len,
    ],
)
def test_what_names_no_class_is_no_class_of_ours(config):
    assert class_of(config, HOOKS, 'mmpretrain') is object


class Unregistered:
    pass


@pytest.mark.parametrize(
    'name, ways',
    [
        ('pinas_mm.ArchSamplingHook', ['pinas_mm.engine.hooks.ArchSamplingHook', ArchSamplingHook]),
        ('pinas_mm.SeededSplit', ['pinas_mm.datasets.SeededSplit', SeededSplit]),  # a function
        (
            'mmpretrain.ImageClassifier',
            ['ImageClassifier', 'mmpretrain.models.ImageClassifier', ImageClassifier],
        ),
        ('mmengine.SGD', ['SGD', 'torch.optim.SGD', 'torch.optim.sgd.SGD', SGD]),
        (f'{__name__}.Unregistered', [Unregistered]),
        ('evolution', []),  # a searcher: of no registry
    ],
)
def test_a_type_has_one_name_in_records_however_it_is_written(name, ways):
    for kind in (name, *ways):
        settings = dict(a=[dict(type=kind, lr=0.1)], b=(1, ConfigDict(type=kind)), c=None)
        before = dict(settings)
        assert with_type_names(settings, 'mmpretrain') == dict(
            a=[dict(type=name, lr=0.1)], b=(1, dict(type=name)), c=None
        )
        assert settings == before
    assert with_type_names(dict(collate_fn=pseudo_collate)) == dict(
        collate_fn='mmengine.pseudo_collate'
    )


def test_a_name_in_records_does_not_depend_on_what_was_imported_before():
    """In a new process: registries import their modules when they are first asked."""
    script = (
        'from pinas_mm.registry import with_type_names\n'
        "settings = [dict(type=name) for name in ('PackInputs', 'mmpretrain.PackInputs')]\n"
        "for _ in range(2): print(with_type_names(settings, 'mmpretrain'))"
    )
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, check=True
    )
    # Packages may print a line of their own when they are imported.
    assert done.stdout.splitlines()[-2:] == [str([dict(type='mmpretrain.PackInputs')] * 2)] * 2


@pytest.mark.parametrize(
    'make, message',
    [
        (
            lambda: MODELS.build(
                dict(type='pinas_mm.DropoutLinearClsHead', num_classes=2, in_channels=2, dropout=1)
            ),
            'DropoutLinearClsHead.dropout=1: expected',
        ),
        (
            lambda: TRANSFORMS.build(dict(type='pinas_mm.LoadCachedImage', cache_dir='', max_gb=0)),
            'LoadCachedImage.max_gb=0: expected a finite number above 0',
        ),
        (lambda: Race('accuracy/top1', top_k=0), 'Race.top_k=0: expected a whole number'),
        (
            lambda: get_searcher('evolution')(get_space('nasbench_macro'), mutation=2.0),
            r'EvolutionSearcher.mutation=2.0: expected a number above 0, at most 1',
        ),
    ],
)
def test_what_is_made_without_a_config_has_its_bounds_checked(make, message):
    """As in programs of users, and in mm's own tools."""
    with pytest.raises(InputError, match=f'^{message}'):
        make()
