import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch.nn.modules.batchnorm import _BatchNorm

import pinas_mm  # noqa: F401
from pinas_mm.subnets.state_dict import subnet_state_dict

BACKBONES = dict(
    SearchableMacroNet=320,
    SearchableResNeSt=512,
    SearchableNASBench201=16,
    SearchableShuffleNetV2=256,
)


def classifier(backbone, arch=None, seed=0, **kwargs):
    init_default_scope('mmpretrain')
    torch.manual_seed(seed)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type=f'pinas_mm.{backbone}', widen_factor=0.25, arch=arch, **kwargs),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=BACKBONES[backbone]),
        )
    )
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            for tensor in (
                module.weight.data,
                module.bias.data,
                module.running_mean,
                module.running_var,
            ):
                tensor.uniform_(0.5, 1.5)
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    'backbone, kwargs',
    [
        ('SearchableMacroNet', {}),
        ('SearchableResNeSt', {}),
        ('SearchableResNeSt', dict(share_shortcut=False)),
        ('SearchableNASBench201', {}),
        ('SearchableShuffleNetV2', dict(mid_scales=0.6, stem_stride=1)),
    ],
)
def test_a_subnet_with_these_tensors_gives_the_supernets_outputs(backbone, kwargs):
    supernet = classifier(backbone, **kwargs)
    rng, images = np.random.default_rng(0), torch.randn(2, 3, 32, 32)
    arch, active = supernet.backbone.space.sample_disjoint(rng)
    supernet.backbone.set_arch(active)
    state = subnet_state_dict(supernet, arch)
    assert supernet.backbone.arch == active
    supernet.backbone.set_arch(arch)
    subnet = classifier(backbone, arch, seed=1, **kwargs)
    assert list(state) == list(subnet.state_dict())
    subnet.load_state_dict(state, strict=True)
    with torch.no_grad():
        ours, theirs = subnet(images, mode='tensor'), supernet(images, mode='tensor')
    assert torch.equal(ours, theirs) and ours.std() > 0


def test_only_the_chosen_candidates_are_taken_with_what_they_share():
    supernet = classifier('SearchableResNeSt')
    arch = (0, 3) + (1,) * 14
    keys = {
        tuple(key.split('.')[2:4])
        for key in subnet_state_dict(supernet, arch)
        if key.startswith('backbone.layers.')
    }
    assert keys == {(str(i), str(choice)) for i, choice in enumerate(arch)} | {
        (str(i), 'shortcut') for i in (0, 3, 7, 13)
    }


def test_nothing_of_the_learning_stage_is_left():
    init_default_scope('mmpretrain')
    model = MODELS.build(
        dict(
            type='pinas_mm.PiNAS',
            queue_len=8,
            feat_dim=16,
            backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.25),
            neck=dict(type='NonLinearNeck', in_channels=320, hid_channels=32, out_channels=16),
            head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.2),
        )
    )
    assert (
        any(key.startswith('teacher.') for key in model.state_dict())
        and 'queue' in model.state_dict()
    )
    state = subnet_state_dict(model, (2,) * 8)
    parts = {key.partition('.')[0] for key in state}
    assert {'backbone', 'neck'} <= parts <= {'backbone', 'neck', 'head', 'data_preprocessor'}


def with_children(model):
    """A model with heads and a buffer whose names look like those of a learning stage."""
    model.queue_head = torch.nn.Linear(2, 2)
    model.stepwise = torch.nn.Linear(2, 2)
    model.teacher = torch.nn.Linear(2, 2)
    model.register_buffer('queue', torch.zeros(3))
    model.register_buffer('step', torch.zeros(()))
    return model


OWN = {'queue_head.weight', 'stepwise.weight', 'teacher.weight', 'queue', 'step'}


def test_a_model_that_declares_nothing_keeps_all_of_its_own():
    supernet = with_children(classifier('SearchableMacroNet'))
    assert OWN <= subnet_state_dict(supernet, (1,) * 8).keys()


def test_only_what_a_model_declares_is_left_out_and_not_what_begins_alike():
    supernet = with_children(classifier('SearchableMacroNet'))
    supernet.learning_only = ('teacher', 'queue', 'step')
    state = subnet_state_dict(supernet, (1,) * 8)
    assert {'queue_head.weight', 'queue_head.bias', 'stepwise.weight', 'head.fc.weight'} <= set(
        state
    )
    assert not {key for key in state if key.partition('.')[0] in supernet.learning_only}


@pytest.mark.parametrize('strategy', ['FairStrategy', 'SupervisedPiStrategy'])
def test_a_strategy_hands_over_what_its_model_does(strategy):
    init_default_scope('mmpretrain')
    plain = with_children(classifier('SearchableMacroNet'))
    model = MODELS.build(
        dict(
            type=f'pinas_mm.{strategy}',
            model=dict(
                type='ImageClassifier',
                backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.25),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=10, in_channels=320),
            ),
        )
    )
    model.model.queue_head, model.model.stepwise = plain.queue_head, plain.stepwise
    model.model.register_buffer('counted', torch.zeros(()))
    model.model.learning_only = ('counted',)
    arch = (1,) * 8
    beside = {'teacher.weight', 'teacher.bias', 'queue', 'step'}  # of the plain model alone
    assert subnet_state_dict(model, arch).keys() == subnet_state_dict(plain, arch).keys() - beside
