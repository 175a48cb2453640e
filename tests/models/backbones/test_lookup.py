import dataclasses

import pytest
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS

from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet, backbone_type, supernet_of_space
from pinas_mm.spaces import SPACES


@pytest.mark.parametrize('space', ['nasbench201', 'nasbench_macro', 'resnest50', 'shufflenetv2'])
def test_each_space_of_ours_has_its_backbone(space):
    cls = MMENGINE_MODELS.get(backbone_type(space))
    assert cls.space is SPACES[space] and cls.__module__.startswith('pinas_mm.models.backbones.')


@pytest.mark.parametrize(
    'space', ['elastic_mobilenet_v2', 'elastic_resnet18', 'elastic_resnet50', 'nasbench_macro']
)
def test_the_supernet_of_a_space_is_its_own(space):
    """Where a class knows several spaces too; without weights."""
    net = supernet_of_space(space)
    assert net.space is SPACES[space] and net.is_supernet and net.widen_factor == 1
    assert all(parameter.is_meta for parameter in net.parameters())


def test_an_unknown_space_has_no_supernet():
    with pytest.raises(InputError, match="NAME: unknown space 'resnet'"):
        supernet_of_space('resnet', 'NAME')


@pytest.fixture
def registered(monkeypatch):
    """Registers a backbone of a name and space; it is forgotten after the test."""

    def register(registry, name, space):
        cls = type(name, (SearchableMacroNet,), dict(space=space, __module__='elsewhere.net'))
        monkeypatch.setitem(registry.module_dict, name, cls)
        return cls

    return register


@pytest.mark.parametrize(
    'registry, scope', [(MMENGINE_MODELS, 'mmengine'), (MMPRETRAIN_MODELS, 'mmpretrain')]
)
def test_a_backbone_in_any_registry_is_found(registered, registry, scope):
    space = dataclasses.replace(SearchableMacroNet.space, name='waves')
    cls = registered(registry, 'WaveNet', space)
    assert backbone_type('waves') == f'{scope}.WaveNet'
    assert MMENGINE_MODELS.get(f'{scope}.WaveNet') is cls


def test_of_two_backbones_of_one_space_a_config_has_to_choose(registered):
    registered(MMPRETRAIN_MODELS, 'OtherMacroNet', SearchableMacroNet.space)
    with pytest.raises(
        InputError,
        match=r"subnet.yaml: \['mmpretrain.OtherMacroNet', 'pinas_mm.SearchableMacroNet'\] have "
        "the space 'nasbench_macro': give a config whose model.backbone has it",
    ):
        backbone_type('nasbench_macro', 'subnet.yaml')


def test_a_space_without_a_backbone_is_named():
    with pytest.raises(InputError, match="no imported backbone has the space 'waves'"):
        backbone_type('waves')
