import functools

import pytest
from mmengine.config import ConfigDict
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import MODELS as ROOT_MODELS
from mmpretrain.models import ImageClassifier

from pinas_mm.engine import ArchSamplingHook
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.registry import HOOKS, MODELS, class_of


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
