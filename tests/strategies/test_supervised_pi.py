import copy

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import load_state_dict

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.spaces import SearchSpace, arch_rng

MOMENTUM, WEIGHT, TEMPERATURE = 0.9, 0.7, 2.0


def moved(name, arch):
    """Whether the teacher's update along ``arch`` reaches a parameter of the classifier."""
    return name.startswith(
        (
            'backbone.stem',
            'backbone.tail',
            'neck',
            'head',
            *(f'backbone.layers.{i}.{choice}.' for i, choice in enumerate(arch)),
        )
    )


def scores(model, arch, images):
    model.backbone.set_arch(arch)
    return model(images, mode='tensor')


def test_each_path_learns_from_labels_and_from_the_teacher_on_the_other_path(nets):
    strategy = nets.build(
        'supervised_pi', consistency=WEIGHT, momentum=MOMENTUM, temperature=TEMPERATURE
    )
    with torch.no_grad():  # a teacher that lags behind
        for parameter in strategy.teacher.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    by_hand = copy.deepcopy(strategy)
    student, teacher = by_hand.model, copy.deepcopy(by_hand.model)
    teacher.load_state_dict(by_hand.teacher.state_dict())
    data = student.data_preprocessor(nets.batch(), True)
    images, labels = data['inputs'], torch.cat([sample.gt_label for sample in data['data_samples']])

    archs, soft, hard = strategy.draw_archs(), [], []
    assert all(a != b for a, b in zip(*archs))
    with torch.no_grad():
        for arch in archs:
            for name, parameter in teacher.named_parameters():
                if moved(name, arch):
                    parameter.copy_(
                        MOMENTUM * parameter + (1 - MOMENTUM) * student.get_parameter(name)
                    )
            logits = scores(teacher, arch, images)
            soft.append((logits / TEMPERATURE).softmax(dim=1))
            hard.append(logits.argmax(dim=1))

    parts = []

    def loss(arch, target):
        logits = scores(student, arch, images)
        label = -logits.log_softmax(dim=1)[range(6), labels].mean()
        prediction = (logits / TEMPERATURE).log_softmax(dim=1)
        consistency = (
            (target * (target.log() - prediction)).sum(dim=1).mean() * TEMPERATURE**2 * WEIGHT
        )
        parts.append((label.detach(), consistency.detach(), logits.argmax(dim=1)))
        return label + consistency

    expected = nets.sum_of_passes(
        by_hand, [lambda: loss(archs[0], soft[1]), lambda: loss(archs[1], soft[0])]
    )
    optim_wrapper = nets.recording(strategy)
    logged = strategy.train_step(nets.batch(), optim_wrapper)
    nets.assert_same_gradients(optim_wrapper.updates[0], expected, rtol=1e-3, atol=1e-6)

    label, consistency, predicted = zip(*parts)
    torch.testing.assert_close(logged['loss_label'], sum(label) / 2)
    torch.testing.assert_close(logged['loss_consistency'], sum(consistency) / 2)
    torch.testing.assert_close(logged['loss'], (sum(label) + sum(consistency)) / 2)
    agreement = [(predicted[0] == hard[1]).float().mean(), (predicted[1] == hard[0]).float().mean()]
    torch.testing.assert_close(logged['path_agreement'], sum(agreement) / 2)
    assert set(logged) == {'loss', 'loss_label', 'loss_consistency', 'path_agreement'}

    # The teacher moved along the two paths only, and gathered statistics of its own: twice for what
    # both share.
    for (name, value), other in zip(
        strategy.teacher.state_dict().items(), teacher.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(value, other, msg=name)
    assert strategy.teacher.backbone.stem[1].num_batches_tracked == 2


def test_archs_are_a_function_of_seed_and_step(nets):
    strategy = nets.build('supervised_pi', arch_seed=3)
    strategy.step = 5
    assert (
        strategy.draw_archs()
        == strategy.space.sample_disjoint(arch_rng(3, 5), 2)
        == strategy.draw_archs()
    )


def test_archs_can_be_drawn_by_probabilities(nets):
    strategy = nets.build('supervised_pi', probabilities=[0, 1, 1])
    assert all({a, b} == {1, 2} for a, b in zip(*strategy.draw_archs()))
    with pytest.raises(InputError, match='fewer candidates with a probability above 0'):
        nets.build('supervised_pi', probabilities=[0, 1, 0])


@pytest.mark.parametrize(
    'arguments, weights',
    [
        (dict(ramp_steps=0), [1.0, 1.0, 1.0]),
        (dict(ramp_steps=4), [0.0, 0.25, 1.0]),
        (dict(consistency=0.5, initial_consistency=2.5, ramp_steps=4), [2.5, 2.0, 0.5]),
    ],
)
def test_the_weight_of_the_consistency_ramps_linearly(nets, arguments, weights):
    strategy, found = nets.build('supervised_pi', **arguments), []
    for step in (0, 1, 6):
        strategy.step = step
        found.append(strategy.consistency_weight())
    assert found == weights


def test_by_default_the_ramp_is_a_quarter_of_the_training(tiny):
    found = []
    for epochs in (2, 4):
        model = dict(type='pinas_mm.SupervisedPiStrategy', model=tiny.classifier())
        runner = tiny.training(model=model, epochs=epochs, resume=epochs == 4)
        runner.register_hook(
            tiny.Record(
                before_train_iter=lambda runner, **unused: found.append(
                    runner.model.consistency_weight()
                )
            )
        )
        runner.train()
    # Epochs of 4 iterations: a ramp of 2, and the resumed training is beyond its own of 4.
    assert found == [0, 1 / 2, 1, 1, 1, 1, 1, 1] + [1] * 8


def test_outside_of_a_run_the_ramp_has_to_be_given(nets):
    MessageHub.get_instance('test_supervised_pi')
    strategy = nets.build('supervised_pi', ramp_steps=None)
    with pytest.raises(InputError, match='of the training is unknown outside .* give ramp_steps'):
        strategy.consistency_weight()


def test_the_teacher_starts_as_the_student_also_from_pretrained_weights(nets, tmp_path):
    weights = nets.build('fair').model.backbone.state_dict()
    save_checkpoint(
        tmp_path / 'pretrained.pth',
        {f'backbone.{key}': torch.full_like(value, 0.5) for key, value in weights.items()},
        {},
    )
    init_cfg = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'pretrained.pth'), prefix='backbone.'
    )
    strategy = nets.build('supervised_pi', model=nets.classifier(init_cfg=init_cfg))
    strategy.init_weights()
    assert strategy.teacher.backbone.stem[0].weight.unique().tolist() == [0.5]
    student = strategy.model.state_dict()
    assert all(
        torch.equal(value, student[key]) for key, value in strategy.teacher.state_dict().items()
    )
    assert not any(parameter.requires_grad for parameter in strategy.teacher.parameters())


def test_a_plain_checkpoint_to_start_from_fills_the_teacher_too(nets):
    """``load_from``: mmengine warns of missing keys (the step) and goes on."""
    plain = MODELS.build(nets.classifier())
    for value in plain.state_dict().values():
        value.fill_(3)
    strategy = nets.build('supervised_pi')
    load_state_dict(strategy, plain.state_dict())
    assert (
        all((value == 3).all() for name, value in strategy.state_dict().items() if name != 'step')
        and strategy.step == 0
    )


def test_a_slot_with_one_candidate_is_refused_at_once(nets, monkeypatch):
    space = SearchableMacroNet.space
    narrow = SearchSpace(
        'narrow',
        (space.candidates[0][:1], *space.candidates[1:]),
        space.positions,
        space.stem_channels,
        1280,
    )
    monkeypatch.setattr(SearchableMacroNet, 'space', narrow)
    with pytest.raises(
        InputError, match="2 archs that differ in every slot asked of space 'narrow'"
    ):
        nets.build('supervised_pi')
