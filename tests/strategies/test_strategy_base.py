"""What holds for every strategy."""

import copy

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.optim import OptimWrapper
from mmengine.registry import METRICS, MODELS, init_default_scope
from mmengine.runner.checkpoint import get_state_dict, load_state_dict

from pinas_mm.checkpoint import load_strict, save_checkpoint
from pinas_mm.costs import measure_costs
from pinas_mm.engine.loaders import calibration_loader, whole_set_loader
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import supernet_of
from pinas_mm.scoring.evaluator import ArchEvaluator
from pinas_mm.strategies import PathOptimWrapper
from pinas_mm.strategies.fair import FairStrategy

KINDS = pytest.mark.parametrize('kind', ['fair', 'sandwich', 'supervised_pi'])
WITH_AND_WITHOUT_TEACHER = pytest.mark.parametrize('kind', ['fair', 'supervised_pi'])
TIGHT = dict(rtol=1e-5, atol=1e-7)


def plain_classifier(nets):
    init_default_scope('mmpretrain')
    return MODELS.build(nets.classifier()).train()


def trained(nets, kind):
    """Parameters and statistics that no other model has."""
    strategy = nets.build(kind)
    strategy.train_step(nets.batch(), nets.recording(strategy, lr=0.05))
    return strategy


# The checkpoint.


@WITH_AND_WITHOUT_TEACHER
def test_its_state_dict_is_the_inner_models_with_its_own_beside(nets, kind):
    strategy, plain = trained(nets, kind), plain_classifier(nets)
    theirs = strategy.model.state_dict()
    assert theirs.keys() == plain.state_dict().keys()
    for state in (
        strategy.state_dict(),
        get_state_dict(strategy),
        copy.deepcopy(strategy).state_dict(),
    ):
        own = {key for key in state if key not in theirs}
        assert 'step' in own and own - {'step'} == {
            f'teacher.{key}' for key in theirs if kind == 'supervised_pi'
        }
        assert (
            all(torch.equal(state[key], value) for key, value in theirs.items())
            and state['step'] == 1
        )
    # The versions by which modules read older checkpoints are found from either side.
    versions = strategy.state_dict()._metadata
    assert versions['backbone.stem.1'] == versions['model.backbone.stem.1'] == dict(version=2)


@WITH_AND_WITHOUT_TEACHER
@pytest.mark.parametrize(
    'load',
    [
        lambda model, state: model.load_state_dict(state),
        lambda model, state: load_state_dict(model, state, strict=True),
    ],
    ids=['torch', 'mmengine'],
)
def test_it_loads_what_it_saved_and_nothing_else(nets, kind, load):
    strategy, other = trained(nets, kind), nets.build(kind)
    state = get_state_dict(strategy)
    load(other, state)
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())
    with pytest.raises(RuntimeError, match='(?i)unexpected key.*nonsense'):
        load(other, {**state, 'head.nonsense': torch.zeros(1)})
    with pytest.raises(RuntimeError, match='(?i)missing key.*head.fc.bias'):
        load(other, {key: value for key, value in state.items() if key != 'head.fc.bias'})


@WITH_AND_WITHOUT_TEACHER
def test_its_checkpoint_fits_the_plain_model_and_scores_the_same(nets, kind, tmp_path, tiny):
    strategy = trained(nets, kind)
    save_checkpoint(tmp_path / 'strategy.pth', get_state_dict(strategy), {})
    plain, again = plain_classifier(nets), nets.build(kind)
    load_strict(plain, tmp_path / 'strategy.pth')
    load_strict(again, tmp_path / 'strategy.pth')
    assert again.step == 1

    archs = [(0, 1, 2, 0, 1, 2, 0, 1), (1, 0, 0, 1, 0, 0, 1, 0)]
    loaders = calibration_loader(tiny.digits(), 1), whole_set_loader(tiny.digits('held_out'), 32)
    scores = [
        ArchEvaluator(
            model,
            *loaders,
            lambda: Evaluator([METRICS.build(dict(type='Accuracy', topk=(1, 2, 3, 5)))]),
        ).evaluate(archs)
        for model in (strategy, strategy.model, plain, again)
    ]
    assert scores[0] == scores[1] == scores[2] == scores[3]
    assert scores[0][0] != scores[0][1], 'archs that score alike would show nothing'
    assert strategy.training and measure_costs(strategy, 32).fixed == measure_costs(plain, 32).fixed


# The step.


@KINDS
def test_all_passes_of_a_step_are_one_iteration_of_gradient_accumulation(nets, kind):
    """Three batches, an update every two: the last one stands alone."""
    single, accumulated = nets.build(kind), nets.build(kind)
    each, two = nets.recording(single), nets.recording(accumulated, accumulative_counts=2)
    two.initialize_count_status(accumulated, 0, 3)
    for step in range(3):
        logs = [
            model.train_step(nets.batch(step), wrapper)
            for model, wrapper in ((single, each), (accumulated, two))
        ]
        assert two.inner_count == accumulated.step == step + 1
        assert logs[0].keys() == logs[1].keys() and logs[0]['loss'] == logs[1]['loss'], (
            'what is logged is not scaled'
        )
    assert len(each.updates) == 3 and len(two.updates) == 2
    for update, batches in zip(two.updates, ([0, 1], [2])):
        parts = [each.updates[number] for number in batches]
        expected = {
            name: [part[name] for part in parts if part[name] is not None] for name in update
        }
        nets.assert_same_gradients(
            update,
            {name: sum(g) / len(batches) if g else None for name, g in expected.items()},
            **TIGHT,
        )


@KINDS
def test_mixed_precision_scales_every_pass_and_unscales_once(nets, kind):
    strategy, by_hand = nets.build(kind), nets.build(kind)
    optim_wrapper = nets.recording(strategy, wrapper=nets.amp)
    strategy.train_step(nets.batch(), optim_wrapper)

    # The same passes without a scaler: its power of two costs bfloat16 nothing.
    found, total, passes = (
        optim_wrapper.updates[0],
        {},
        by_hand.passes(by_hand.model.data_preprocessor(nets.batch(), True)),
    )
    for _ in range(nets.num_passes[kind]):
        with torch.autocast('cpu', torch.bfloat16):
            _, losses = next(passes)
        by_hand.zero_grad()
        by_hand.model.parse_losses(losses)[0].backward()
        for name, parameter in by_hand.named_parameters():
            if parameter.grad is not None:
                total[name] = total.get(name, 0) + parameter.grad
    assert next(passes, None) is None
    nets.assert_same_gradients(
        found, {name: total.get(name) for name in found}, rtol=1e-5, atol=1e-6
    )
    full = nets.recording(by_hand)
    by_hand.zero_grad()
    by_hand.step = 0
    by_hand.train_step(nets.batch(), full)
    assert any(
        value is not None and not torch.equal(value, full.updates[0][name])
        for name, value in found.items()
    ), 'it ran in bfloat16'
    assert optim_wrapper.loss_scaler.state_dict()['_growth_tracker'] == 1


@KINDS
def test_mixed_precision_skips_a_step_with_an_overflow_in_any_pass(nets, kind):
    strategy = nets.build(kind)
    optim_wrapper = nets.recording(strategy, lr=0.1, wrapper=nets.amp)
    before, passes = copy.deepcopy(dict(strategy.model.named_parameters())), strategy.passes

    def second_overflows(data):
        for number, (arch, losses) in enumerate(passes(data)):
            yield (
                arch,
                {
                    name: value * float('inf') if number == 1 else value
                    for name, value in losses.items()
                },
            )

    strategy.passes = second_overflows
    strategy.train_step(nets.batch(), optim_wrapper)
    assert not optim_wrapper.updates and all(
        torch.equal(value, before[name]) for name, value in strategy.model.named_parameters()
    )
    assert optim_wrapper.loss_scaler.get_scale() == 2.0**9 and optim_wrapper.inner_count == 1


class Kept:
    """A tensor kept for a backward pass; counts the bytes of all such that are alive."""

    alive = peak = 0

    def __init__(self, tensor):
        self.tensor = tensor
        Kept.alive += tensor.nbytes
        Kept.peak = max(Kept.peak, Kept.alive)

    def __del__(self):
        Kept.alive -= self.tensor.nbytes


@KINDS
def test_no_more_is_kept_for_backward_passes_than_for_the_heaviest_path(nets, kind):
    strategy = nets.build(kind)
    optim_wrapper, peaks = nets.recording(strategy), []
    heaviest = strategy.model
    heaviest.backbone.set_arch((2,) * 8)
    single = nets.recording(heaviest)
    for model, wrapper in ((heaviest, single), (strategy, optim_wrapper)):
        Kept.alive = Kept.peak = 0
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            model.train_step(nets.batch(), wrapper)
        peaks.append(Kept.peak)
        assert Kept.alive == 0
    # Beside the path itself: the scores of one more loss.
    assert 0 < peaks[1] < 1.02 * peaks[0]


class ApartOptimWrapper(OptimWrapper):
    """Keeps the gradients of each path in tensors of its own until the update."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parameters = [
            parameter for group in self.optimizer.param_groups for parameter in group['params']
        ]
        self.held = {}

    def begin_pass(self, arch):
        self.arch = arch

    def backward(self, loss, **kwargs):
        super().backward(loss, **kwargs)
        assert self.arch not in self.held
        self.held[self.arch] = {
            parameter: parameter.grad for parameter in self.parameters if parameter.grad is not None
        }
        self.zero_grad()

    def held_gradients(self):
        return [gradient for path in self.held.values() for gradient in path.values()]

    def step(self, **kwargs):
        for path in self.held.values():
            for parameter, gradient in path.items():
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        super().step(**kwargs)


@KINDS
def test_an_optimiser_wrapper_can_keep_the_gradients_of_paths_apart(nets, kind):
    strategy, other = nets.build(kind), nets.build(kind)
    apart, plain = nets.recording(strategy, wrapper=ApartOptimWrapper), nets.recording(other)
    assert isinstance(apart, PathOptimWrapper) and not isinstance(plain, PathOptimWrapper)
    archs = strategy.draw_archs()
    strategy.train_step(nets.batch(), apart)
    other.train_step(nets.batch(), plain)
    assert list(apart.held) == archs and len(archs) == nets.num_passes[kind]
    nets.assert_same_gradients(apart.updates[0], plain.updates[0], **TIGHT)
    names = {parameter: name for name, parameter in strategy.named_parameters()}
    for arch, path in apart.held.items():
        ran = {
            names[parameter]
            for parameter in path
            if names[parameter].startswith('model.backbone.layers')
        }
        chosen = tuple(f'model.backbone.layers.{i}.{choice}.' for i, choice in enumerate(arch))
        assert ran == {name for name in names.values() if name.startswith(chosen)}


# Everything else is the inner model's.


@KINDS
def test_all_but_the_step_is_the_inner_models(nets, kind):
    strategy = nets.build(kind).eval()
    inner = strategy.model
    assert (
        strategy.backbone is inner.backbone
        and strategy.head is inner.head
        and strategy.data_preprocessor is inner.data_preprocessor
    )
    strategy.backbone.set_arch((1,) * 8)
    data = nets.batch()
    images = inner.data_preprocessor(data)['inputs']
    assert torch.equal(strategy(images), inner(images)) and torch.equal(
        strategy(images, mode='tensor'), inner(images)
    )
    for outputs in (
        strategy.val_step(data),
        strategy.test_step(data),
        strategy(images, mode='predict'),
        strategy.predict(images),
    ):
        assert all(
            torch.equal(ours.pred_score, theirs.pred_score)
            for ours, theirs in zip(outputs, inner.val_step(data), strict=True)
        )
    with pytest.raises(AttributeError, match='nonsense'):
        strategy.nonsense  # noqa: B018
    with pytest.raises(InputError, match='ActiveGradientDataParallel'):
        strategy(images, data['data_samples'], mode='loss')


def test_a_model_without_a_supernet_is_refused(nets):
    with pytest.raises(
        InputError, match='FairStrategy: its ImageClassifier has no searchable backbone'
    ):
        nets.build(
            'fair', model=dict(type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=-1))
        )
    with pytest.raises(
        InputError,
        match=r'FairStrategy trains a supernet, but model.model.backbone was given arch=\(1, 1',
    ):
        nets.build('fair', model=nets.classifier(arch='11111111'))
    with pytest.raises(InputError, match='FairStrategy: PiNAS draws two paths per step itself'):
        nets.build(
            'fair',
            model=dict(
                type='pinas_mm.PiNAS',
                backbone=nets.classifier()['backbone'],
                neck=dict(type='MoCoV2Neck', in_channels=160, hid_channels=16, out_channels=8),
                feat_dim=8,
                queue_len=8,
                head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss')),
            ),
        )


@KINDS
def test_a_runner_trains_it(nets, tiny, kind):
    """The config's own data preprocessor reaches the inner model."""
    model = nets.classifier()
    preprocessor = dict(type='ClsDataPreprocessor', **model.pop('data_preprocessor'))
    runner = tiny.training(
        loader=tiny.digits(indices=24, batch_size=8),
        model=nets.config(kind, model=model),
        data_preprocessor=preprocessor,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01), accumulative_counts=2),
    )
    counts = []
    runner.register_hook(
        tiny.Record(
            after_train_iter=lambda runner, **_: counts.append(
                (
                    runner.optim_wrapper.inner_count,
                    runner.message_hub.get_scalar('train/loss').current(),
                )
            )
        )
    )
    runner.train()
    assert [count for count, _ in counts] == [1, 2, 3] and all(0 < loss < 10 for _, loss in counts)
    assert supernet_of(runner.model) is runner.model.model.backbone and isinstance(
        runner.model, FairStrategy
    ) == (kind == 'fair')
    assert runner.model.model.data_preprocessor.mean.flatten().tolist() == [127.5] * 3
