import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from pinas_mm.engine.loaders import calibration_loader, whole_set_loader
from pinas_mm.errors import InputError
from pinas_mm.evaluation import BlockwiseLoss
from pinas_mm.scoring.evaluator import ArchEvaluator
from pinas_mm.spaces import arch_rng
from pinas_mm.subnets.state_dict import subnet_state_dict

STAGES = (range(0, 2), range(2, 5), range(5, 8))
ARCH = (1, 0, 2, 0, 1, 2, 1, 0)
MOMENTUM = 0.8


def config(**kwargs):
    return (
        dict(
            type='pinas_mm.BossNAS',
            backbone=dict(
                type='pinas_mm.SearchableMacroNet', widen_factor=0.125, zero_init_residual=False
            ),
            hid_channels=24,
            feat_dim=12,
            momentum=MOMENTUM,
            ensemble=4,
            data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
        )
        | kwargs
    )


def build(**kwargs):
    init_default_scope('mmpretrain')
    MMLogger.get_instance('test_bossnas', log_level='ERROR')
    torch.manual_seed(0)
    return MODELS.build(config(**kwargs)).train()


def lagging(model):
    """With a copy that lags behind."""
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model


def two_views(count=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, 3, 32, 32, generator=generator) for _ in range(2)]


def run(network, stage, arch, x):
    if stage == 0:
        x = network.stem(x)
    for slot in STAGES[stage]:
        x = network.layers[slot][str(arch[slot])](x)
    return x


def head(neck, x):
    """fc-BN-ReLU-fc, of maps after their mean over pixels."""
    x = x.mean(dim=(2, 3)) if x.ndim == 4 else x
    return neck.fc1(F.relu(neck.bn0(neck.fc0(x))))


def by_hand(model, views, archs):
    """The step with plain modules: losses of the stages, and the copy of the supernet after it."""
    model = copy.deepcopy(model)
    student, theirs = model.backbone, model.teacher.backbone
    with torch.no_grad():
        for name, parameter in model.teacher.named_parameters():
            parameter.copy_(MOMENTUM * parameter + (1 - MOMENTUM) * model.get_parameter(name))
        inputs, targets = [], []
        for view in views:
            x, read, wanted = view, [], []
            for stage in range(3):
                read.append(x)
                given = [run(theirs, stage, arch, x) for arch in archs]
                unit = [F.normalize(head(model.teacher.projectors[stage], y)) for y in given]
                x = sum(given) / len(given)
                wanted.append(F.normalize(sum(unit) / len(unit)))
            inputs.append(read)
            targets.append(wanted)
    losses = [0, 0, 0]
    for arch in archs:
        for stage in range(3):
            for own, other in ((0, 1), (1, 0)):
                x = run(student, stage, arch, inputs[own][stage])
                x = F.normalize(head(model.predictors[stage], head(model.projectors[stage], x)))
                losses[stage] += (2 - 2 * (x * targets[other][stage]).sum(dim=1)).mean() / 2
    return losses, model


def test_the_step_equals_the_one_written_out():
    model, views = lagging(build()).double(), [view.double() for view in two_views()]
    expected, after = by_hand(model, views, model.draw_archs())
    found = model(views, mode='loss')
    assert list(found) == ['loss_stage0', 'loss_stage1', 'loss_stage2']
    torch.testing.assert_close(list(found.values()), expected)
    sum(found.values()).backward()
    sum(expected).backward()
    for (name, ours), theirs in zip(model.named_parameters(), after.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None), name
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
    torch.testing.assert_close(
        dict(model.teacher.named_parameters()), dict(after.teacher.named_parameters())
    )
    assert all(value.grad is None for value in model.teacher.parameters())


@pytest.mark.parametrize('stage', [0, 1, 2])
def test_the_gradient_of_a_stage_reaches_that_stage_alone(stage):
    model = build()
    model(two_views(), mode='loss')[f'loss_stage{stage}'].backward()
    reached = {name for name, value in model.named_parameters() if value.grad is not None}
    own = [f'backbone.layers.{slot}.' for slot in STAGES[stage]]
    own += [f'projectors.{stage}.', f'predictors.{stage}.', *(['backbone.stem.'] * (stage == 0))]
    assert reached == {
        name for name, _ in model.named_parameters() if name.startswith(tuple(own))
    }, 'every candidate of the stage, strictly fair'


def test_archs_are_a_function_of_seed_and_step():
    model = build(arch_seed=3, num_paths=2, probabilities=[0.1, 0.45, 0.45])
    model.step = 5
    slots = model.backbone.space.slot_probabilities([0.1, 0.45, 0.45])
    assert model.draw_archs() == model.backbone.space.sample_disjoint(arch_rng(3, 5), 2, slots)
    model(two_views(), mode='loss')
    assert model.step == 6


def test_the_ensemble_that_scores_is_fixed_and_even():
    model, again = build(ensemble=9), build(ensemble=9)
    assert model.ensemble == again.ensemble and len(model.ensemble) == 9
    for choices in zip(*model.ensemble):
        assert sorted(choices) == [0] * 3 + [1] * 3 + [2] * 3
    assert build(ensemble=9, arch_seed=1).ensemble != model.ensemble


def test_the_copy_starts_as_the_supernet():
    model = build()
    model.init_weights()
    own = model.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in model.teacher.state_dict().items())


def evaluator(tiny, model, views=1):
    """Calibrates on one view."""
    pipeline = [dict(type='MultiView', num_views=[2], transforms=[[dict(type='Resize', scale=32)]])]
    loader = dict(collate_fn=dict(type='default_collate'), batch_size=32)
    seen = dict(loader, indices=32, pipeline=pipeline if views == 2 else ())
    return ArchEvaluator(
        model,
        calibration_loader(tiny.digits(**loader), 2),
        whole_set_loader(tiny.digits('held_out', **seen)),
        lambda: Evaluator(BlockwiseLoss()),
    )


@pytest.mark.parametrize('views', [1, 2])
def test_archs_evaluated_together_score_as_each_alone(tiny, views):
    model = lagging(build())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    scores = evaluator(tiny, model, views)
    archs = [ARCH, (*ARCH[:2], 1, *ARCH[3:]), (2, *ARCH[1:]), (0,) * 8]
    together = scores.evaluate(archs)
    assert together == [scores.evaluate([arch])[0] for arch in archs]
    for stage, slots in enumerate(STAGES):
        name = f'blockwise/neg_stage{stage}'
        same = [all(arch[slot] == ARCH[slot] for slot in slots) for arch in archs]
        assert [found[name] == together[0][name] for found in together] == same
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_equal_views_score_as_one(tiny):
    model = lagging(build())
    (one,), (two,) = (evaluator(tiny, model, views).evaluate([ARCH]) for views in (1, 2))
    assert one == {name: pytest.approx(value, rel=1e-5) for name, value in two.items()}


def test_a_subnet_takes_the_backbone_alone():
    model = build()
    keys = subnet_state_dict(model, ARCH)
    assert {key.partition('.')[0] for key in keys} == {'backbone'}
    assert {name for name, _ in model.named_children()} == {
        'backbone',
        'projectors',
        'predictors',
        'teacher',
        'data_preprocessor',
    }


def training(tiny, **kwargs):
    views = dict(type='MultiView', num_views=[2], transforms=[[dict(type='Resize', scale=32)]])
    loader = tiny.digits(pipeline=[views], collate_fn=dict(type='default_collate'), indices=32)
    return tiny.training(model=config(), loader=loader, **kwargs)


def test_training_resumes_exactly(tiny):
    whole = training(tiny, epochs=2)
    whole.train()
    state = {key: value.clone() for key, value in whole.model.state_dict().items()}
    assert state['step'] == 4
    (tiny.folder / 'epoch_2.pth').unlink()
    (tiny.folder / 'last_checkpoint').write_text(str(tiny.folder / 'epoch_1.pth'))
    resumed = training(tiny, epochs=2, resume=True, randomness=dict(seed=1))
    resumed.train()
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(num_paths=4), "4 archs that differ in every slot asked of space 'nasbench_macro'"),
        (dict(probabilities=[0, 0, 1]), 'a slot has fewer candidates with a probability above 0'),
        (dict(probabilities=[1, 1]), 'probabilities of BossNAS'),
        (
            dict(backbone=dict(type='pinas_mm.SearchableMacroNet', arch='22222222')),
            'BossNAS trains a supernet',
        ),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(InputError, match=message):
        build(**change)


@pytest.mark.parametrize('inputs', [two_views()[:1], two_views()[0], two_views() * 2])
def test_other_numbers_of_views_are_refused(inputs):
    with pytest.raises(InputError, match=r"view\(s\) of each image, expected 2: dict\(type='Multi"):
        build()(inputs, mode='loss')


def test_modules_are_fc_bn_relu_fc():
    model = build()
    layers = [type(layer) for layer in model.projectors[0].children()]
    assert layers.count(nn.Linear) == 2 and layers.count(nn.BatchNorm1d) == 1
