import copy

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope

from pinas_mm.costs import measure_costs
from pinas_mm.engine.loaders import calibration_loader, whole_set_loader
from pinas_mm.errors import InputError
from pinas_mm.evaluation import BlockwiseLoss
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.scoring.evaluator import ArchEvaluator
from pinas_mm.spaces import SearchSpace, chain
from pinas_mm.subnets.state_dict import subnet_state_dict

ARCH = (1, 0, 2, 0, 1, 2, 1, 0)
STAGES = (range(0, 2), range(2, 5), range(5, 8))
MACRO = dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.125, zero_init_residual=False)
NORMALISE = dict(mean=[127.5] * 3, std=[127.5] * 3)


def config(widen_factor=0.125, **kwargs):
    """A teacher of our own, of the student's width or another one."""
    teacher = dict(MACRO, arch='22222222', widen_factor=widen_factor, out_indices=(0, 1, 2))
    return (
        dict(type='pinas_mm.DNA', backbone=MACRO, teacher=teacher, data_preprocessor=NORMALISE)
        | kwargs
    )


def build(**kwargs):
    init_default_scope('mmpretrain')
    MMLogger.get_instance('test_dna', log_level='ERROR')
    torch.manual_seed(0)
    model = MODELS.build(config(**kwargs)).train()
    model.backbone.set_arch(ARCH)
    return model


def images(count=6, seed=1):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def normalised(x):
    """Each channel less its mean, over the square root of its variance."""
    rows = x.transpose(0, 1).flatten(1)
    mean, variance = rows.mean(dim=1), rows.var(dim=1, unbiased=False)
    shape = (1, -1, 1, 1)
    return (x - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt()


def by_hand(model, inputs):
    """The losses of the stages, by the modules of the networks alone."""
    teacher, student = copy.deepcopy((model.teacher.net, model.backbone))
    targets = [normalised(x).detach() for x in teacher(inputs)]
    losses = []
    for stage, slots in enumerate(STAGES):
        x = student.stem(inputs) if stage == 0 else model.adapters[stage - 1](targets[stage - 1])
        for slot in slots:
            x = student.layers[slot][str(ARCH[slot])](x)
        difference = normalised(model.maps[stage][0](x)) - targets[stage]
        losses.append((difference**2).mean(dim=(1, 2, 3)))
    return losses


@pytest.mark.parametrize('widen_factor', [0.125, 0.1875])
def test_the_losses_equal_those_written_out(widen_factor):
    model, inputs = build(widen_factor=widen_factor).double(), images().double()
    expected = by_hand(model, inputs)
    torch.testing.assert_close(model.losses(inputs), expected)
    found = model(inputs, mode='loss')
    assert list(found) == ['loss_stage0', 'loss_stage1', 'loss_stage2']
    torch.testing.assert_close(list(found.values()), [loss.mean() for loss in expected])
    correlated = [isinstance(adapter, torch.nn.Identity) for adapter in model.adapters]
    assert correlated == [widen_factor == 0.125] * 2


def test_the_loss_tells_the_correlation():
    """The mean over channels of ``2 - 2r``."""
    model, inputs = build().double(), images(32).double()
    loss = model(inputs, mode='loss')['loss_stage0']
    target = model.taught(inputs)[0].transpose(0, 1).flatten(1)
    student = copy.deepcopy(model.backbone)
    given = next(iter(student.stage_maps(inputs))).transpose(0, 1).flatten(1)
    rows = [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(given, target)]
    torch.testing.assert_close(loss, (2 - 2 * torch.stack(rows)).mean(), rtol=1e-3, atol=1e-3)


def test_a_stage_reads_what_the_teacher_gives():
    model, inputs = build(), images()
    seen = []
    for slot in (2, 5):
        model.backbone.layers[slot][str(ARCH[slot])].register_forward_pre_hook(
            lambda module, arguments: seen.append(arguments[0])
        )
    model(inputs, mode='loss')
    targets = [normalised(x) for x in copy.deepcopy(model.teacher.net)(inputs)]
    torch.testing.assert_close(seen, targets[:2], rtol=1e-4, atol=1e-5)
    # Also with another path before it.
    model.backbone.set_arch((2, 2, *ARCH[2:]))
    model(inputs, mode='loss')
    torch.testing.assert_close(seen[2:], seen[:2], rtol=0, atol=0)


@pytest.mark.parametrize('stage', [0, 1, 2])
def test_the_gradient_of_a_stage_reaches_that_stage_alone(stage):
    model = build(widen_factor=0.1875)
    model(images(), mode='loss')[f'loss_stage{stage}'].backward()
    reached = {name for name, value in model.named_parameters() if value.grad is not None}
    own = [f'backbone.layers.{slot}.{ARCH[slot]}.' for slot in STAGES[stage]]
    own += [f'maps.{stage}.', f'adapters.{stage - 1}.' if stage else 'backbone.stem.']
    assert reached == {
        name for name, _ in model.named_parameters() if name.startswith(tuple(own))
    } and any(name.startswith('backbone') for name in reached)


def test_training_moves_neither_the_teacher_nor_the_tail():
    model = build()
    before = copy.deepcopy(dict(model.named_parameters()))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    sum(model(images(), mode='loss').values()).backward()
    optimiser.step()
    still = {name for name, value in model.named_parameters() if torch.equal(value, before[name])}
    fixed = ('teacher.', 'backbone.tail.')
    assert {name for name in before if name.startswith(fixed)} < still
    assert not any(value.requires_grad for value in model.teacher.parameters())
    assert 'backbone.stem.0.weight' not in still


def test_a_teacher_of_mmpretrain():
    teacher = dict(
        type='ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8, out_indices=(1, 2, 3)
    )
    model = build(teacher=teacher)
    losses = model(images(), mode='loss')
    assert all(torch.isfinite(loss) for loss in losses.values()) and len(losses) == 3


class OneStage(SearchableMacroNet):
    space = SearchSpace(
        'one_stage', SearchableMacroNet.space.candidates[:2], chain((2,), (64,), (2,), 32), 32, 1280
    )


@pytest.mark.parametrize(
    'change, message',
    [
        (
            dict(teacher=dict(MACRO, arch='22222222')),
            r'teacher of DNA: a SearchableMacroNet gives maps of 8x8 for an image of 64 pixels, '
            r'expected those of the 3 stages of the student, 32x32, 16x16, 8x8, such as '
            r'out_indices=\(0, 1, 2\)',
        ),
        (
            dict(teacher=dict(type='ResNet', depth=18, out_indices=(0, 1, 2))),
            'a ResNet gives maps of 16x16, 8x8, 4x4 for an image of 64 pixels, expected .* 8x8$',
        ),
        (
            dict(teacher=dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3))),
            'a ResNet gives maps of 16x16, 8x8, 4x4, 2x2',
        ),
        (
            dict(teacher=MACRO),
            'teacher of DNA: SearchableMacroNet is a supernet, expected one of its archs, such as',
        ),
        (
            dict(teacher=dict(MACRO, arch='22222222', in_channels=4, out_indices=(0, 1, 2))),
            'teacher of DNA: SearchableMacroNet cannot read 64x64 images of 3 channels',
        ),
        (
            dict(backbone=dict(MACRO, arch='22222222')),
            r'DNA trains a supernet, but model.backbone was given arch=\(2, 2',
        ),
        (
            dict(backbone=dict(type='ResNet', depth=18)),
            'DNA: its backbone is a ResNet, expected a supernet as model.backbone',
        ),
        (dict(backbone=dict(MACRO, type=OneStage)), "DNA: space 'one_stage' has one stage"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(InputError, match=message):
        build(**change)


def evaluator(tiny, model):
    return ArchEvaluator(
        model,
        calibration_loader(tiny.digits(batch_size=32), 2),
        whole_set_loader(tiny.digits('held_out', indices=32)),
        lambda: Evaluator(BlockwiseLoss()),
    )


def test_archs_evaluated_together_score_as_each_alone(tiny):
    model = build()
    tiny.randomise(model.backbone)
    scores = evaluator(tiny, model)
    space = model.backbone.space
    archs = [ARCH, (*ARCH[:2], 1, *ARCH[3:]), (2, *ARCH[1:]), (0,) * 8]
    together = scores.evaluate(archs)
    assert together == [scores.evaluate([arch])[0] for arch in archs]
    # What a stage is worth does not depend on the others.
    for stage, slots in enumerate(STAGES):
        for arch, found in zip(archs, together):
            same = all(arch[slot] == ARCH[slot] for slot in slots)
            assert (
                found[f'blockwise/neg_stage{stage}'] == together[0][f'blockwise/neg_stage{stage}']
            ) == (same), space.encode(arch)


def test_the_score_is_that_of_calibrated_statistics(tiny):
    """The losses, with the mean over batches of each batch's statistics: here of one batch."""
    model = build()
    tiny.randomise(model.backbone)
    (found,) = ArchEvaluator(
        model,
        calibration_loader(tiny.digits(batch_size=32, indices=32), 1),
        whole_set_loader(tiny.digits(indices=32, batch_size=32)),
        lambda: Evaluator(BlockwiseLoss()),
    ).evaluate([ARCH])
    batch = next(iter(whole_set_loader(tiny.digits(indices=32, batch_size=32))))
    inputs = (torch.stack(batch['inputs']).float() - 127.5) / 127.5
    model.eval()
    for module in [model.backbone, model.maps]:
        module.train()
    expected = [loss.mean().item() for loss in model.losses(inputs)]
    stages = [-found[f'blockwise/neg_stage{stage}'] for stage in range(3)]
    # Unbiased variances are calibrated, the batch's own are biased.
    assert stages == pytest.approx(expected, rel=0.02)


def test_costs_are_those_of_the_plain_network():
    model = build()
    found = measure_costs(model, 32).arch_costs(ARCH)
    alone = measure_costs(MODELS.build(MACRO), 32).arch_costs(ARCH)
    assert found == alone


def test_a_subnet_takes_the_backbone_alone():
    model = build()
    keys = subnet_state_dict(model, ARCH)
    assert {key.partition('.')[0] for key in keys} == {'backbone'}
    MODELS.build(dict(MACRO, arch=ARCH)).load_state_dict(
        {key.removeprefix('backbone.'): value for key, value in keys.items()}
    )


def training(tiny, **kwargs):
    return tiny.training(
        model=config(),
        custom_hooks=[
            dict(type='pinas_mm.ArchSamplingHook', probabilities=[0.1, 0.45, 0.45], seed=3)
        ],
        **kwargs,
    )


def test_training_resumes_exactly(tiny):
    whole = training(tiny, epochs=2)
    whole.train()
    state = {key: value.clone() for key, value in whole.model.state_dict().items()}
    assert 'teacher.net.stem.0.weight' in state, 'an untrained teacher is kept'
    for path in tiny.folder.glob('epoch_2.pth'):
        path.unlink()
    (tiny.folder / 'last_checkpoint').write_text(str(tiny.folder / 'epoch_1.pth'))
    resumed = training(tiny, epochs=2, resume=True, randomness=dict(seed=1))
    resumed.train()
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_training_and_search_through_runners(tiny):
    training(tiny).train()
    runner = tiny.searching(
        model=config(),
        val_dataloader=tiny.digits('held_out', indices=32),
        val_evaluator=dict(type='pinas_mm.BlockwiseLoss'),
        val_cfg=dict(),
        load_from=str(tiny.folder / 'epoch_1.pth'),
        arch_evaluation=dict(calibration_dataloader=tiny.digits(batch_size=32)),
        search_loop=dict(
            type='pinas_mm.SearchLoop',
            searcher=dict(type='random'),
            num_archs=4,
            calibration_batches=2,
            score='blockwise/neg_log_loss',
            input_size=32,
        ),
    )
    runner.test()
    history = (tiny.folder / 'history.jsonl').read_text()
    assert history.count('blockwise/neg_stage2') == 4
    subnet = torch.load(tiny.folder / 'subnet.pth', weights_only=True)
    assert {key.partition('.')[0] for key in subnet['state_dict']} == {'backbone'}
