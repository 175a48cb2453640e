import pytest
import torch
from torch import nn

from pinas_mm.errors import InputError
from pinas_mm.models.backbones import (
    SearchableMacroNet,
    borrowed,
    searchable_backbone_of,
    supernet_of,
)

ARCHS = [(0, 1, 2, 0, 1, 2, 0, 0), (1, 0, 0, 0, 0, 0, 2, 1), (2,) * 8]


class Wrapper(nn.parallel.DataParallel):
    """A wrapper that mmengine knows; it holds the model as ``module``."""


def test_the_backbone_is_found_in_models_wrappers_and_itself(model):
    for holder in (model, Wrapper(model), model.backbone):
        assert searchable_backbone_of(holder) is model.backbone
        assert supernet_of(holder) is model.backbone


def test_a_subnet_has_a_searchable_backbone_and_is_no_supernet(nets):
    subnet = nets.build(ARCHS[0])
    assert searchable_backbone_of(subnet) is subnet.backbone
    with pytest.raises(
        InputError, match=r'built with arch=01201200: a supernet \(arch=None\) is needed'
    ):
        supernet_of(subnet)


@pytest.mark.parametrize('function', [searchable_backbone_of, supernet_of])
def test_a_model_without_one_is_named(function):
    other = nn.Module()
    for backbone in (None, nn.Conv2d(3, 3, 1)):
        other.backbone = backbone
        with pytest.raises(InputError, match='Module has no searchable backbone: expected one of'):
            function(other)
    with pytest.raises(InputError, match='Module has no searchable backbone'), borrowed(other):
        pass


class Mixing:
    """Stands for mmpretrain's mixing of images."""


def state(model):
    """All that borrowing restores."""
    return (
        [module.training for module in model.modules()],
        model.backbone._arch,
        model.backbone.part_runner,
        model.backbone.is_borrowed,
        model.data_preprocessor.batch_augments,
    )


def change(model, arch):
    """What a borrower does."""
    model.eval()
    model.neck.train()
    model.backbone.set_arch(arch)
    model.backbone.part_runner = model.backbone.run_part
    model(torch.zeros(2, 3, 32, 32), mode='tensor')


@pytest.fixture
def in_use(model):
    """A model whose modules are not all in one mode."""
    model.train()
    model.backbone.layers[3].eval()
    model.backbone.set_arch(ARCHS[0])
    model.data_preprocessor.batch_augments = Mixing()
    return model


@pytest.mark.parametrize('error', [None, ValueError, KeyboardInterrupt])
@pytest.mark.parametrize('wrapped', [False, True])
def test_everything_is_as_before_also_after_an_error(in_use, error, wrapped):
    before = state(in_use)
    try:
        with borrowed(Wrapper(in_use) if wrapped else in_use) as backbone:
            assert backbone is in_use.backbone and in_use.data_preprocessor.batch_augments is None
            change(in_use, ARCHS[1])
            assert state(in_use)[:3] != before[:3]
            if error:
                raise error
    except (ValueError, KeyboardInterrupt) as raised:
        assert type(raised) is error
    assert state(in_use) == before


def test_borrowing_what_is_borrowed_gives_it_back_to_the_first_borrower(in_use):
    before = state(in_use)
    with borrowed(in_use):
        change(in_use, ARCHS[1])
        first = state(in_use)
        with borrowed(in_use):
            in_use.train()
            in_use.backbone.set_arch(ARCHS[2])
            in_use.backbone.part_runner = None
        assert state(in_use) == first
    assert state(in_use) == before


def test_a_bare_backbone_without_an_active_arch_can_be_borrowed():
    backbone = SearchableMacroNet(widen_factor=0.125)
    with borrowed(backbone) as same:
        same.eval().set_arch(ARCHS[0])
    assert same is backbone and backbone._arch is None and backbone.training


def run(model):
    model.backbone(torch.zeros(2, 3, 32, 32))


@pytest.mark.parametrize('norm', ['BN', 'SyncBN'])
def test_a_supernet_in_eval_mode_warns_once_that_its_bn_is_of_no_single_arch(bn_warnings, norm):
    backbone = SearchableMacroNet(widen_factor=0.125, norm_cfg=dict(type=norm)).eval()
    for arch in ARCHS:
        backbone.set_arch(arch)
        backbone(torch.zeros(2, 3, 32, 32))
    assert len(bn_warnings) == 1 and bn_warnings[0].startswith('SearchableMacroNet is a supernet')
    assert 'pinas_mm.ArchValLoop' in bn_warnings[0] and 'pinas_mm.ArchTestLoop' in bn_warnings[0]


def test_it_does_not_warn_in_training_or_where_bn_takes_the_batch(model, bn_warnings):
    model.train().backbone.set_arch(ARCHS[0])
    run(model)
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    run(model)
    assert not bn_warnings
    model.eval()
    run(model)
    assert len(bn_warnings) == 1


def test_it_does_not_warn_while_it_is_borrowed(model, bn_warnings):
    with borrowed(model):
        model.eval().backbone.set_arch(ARCHS[0])
        run(model)
        with borrowed(model):
            run(model)
        run(model)
    assert not bn_warnings
    model.eval().backbone.set_arch(ARCHS[0])
    run(model)
    assert len(bn_warnings) == 1


def test_a_subnet_and_a_supernet_without_bn_have_nothing_to_warn_of(nets, bn_warnings):
    run(nets.build(ARCHS[0]).eval())
    backbone = SearchableMacroNet(widen_factor=0.125, norm_cfg=dict(type='GN', num_groups=2))
    backbone.eval().set_arch(ARCHS[0])
    backbone(torch.zeros(2, 3, 32, 32))
    assert not bn_warnings
