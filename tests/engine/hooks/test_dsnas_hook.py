import math

import pytest
import torch
from tiny_dsnas import ITERATIONS, dsnas, model

from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.engine.runner import build_runner
from pinas_mm.errors import InputError

NO_TEST = dict(test_dataloader=None, test_evaluator=None, test_cfg=None)


def runner_of(tiny, **kwargs):
    config = dsnas(tiny.folder, **NO_TEST | kwargs)
    config.experiment_name = f'{tiny.folder.name}_{id(config)}'
    return build_runner(config)


def hand_over(tiny):
    return load_checkpoint(tiny.folder / 'hand_over.pth')


def logits(runner):
    return [row.detach().clone() for row in runner.optim_wrapper.logits.rows]


def test_the_logits_stay_in_the_warm_up_and_move_after_it(tiny):
    runner, seen = runner_of(tiny, search=2, warm_up=1), []
    runner.register_hook(
        tiny.Record(after_train_iter=lambda runner, *unused, **kwargs: seen.append(logits(runner))),
        'VERY_LOW',
    )
    runner.train()
    assert len(seen) == 2 * ITERATIONS, 'the stage ends after two of four epochs'
    assert all(not row.any() for step in seen[:ITERATIONS] for row in step)
    assert all(any(row.any() for row in step) for step in seen[ITERATIONS:])
    history = runner.message_hub.get_scalar('train/arch_entropy').data[0]
    assert history[0] == pytest.approx(1) and history[-1] < 0.999


@pytest.mark.parametrize('by_epoch', [True, False])
def test_the_temperature_falls_linearly_from_the_warm_up_to_the_end_of_the_search(tiny, by_epoch):
    kwargs = dict(search=3, warm_up=1)
    if not by_epoch:
        kwargs = dict(
            search=3 * ITERATIONS,
            warm_up=ITERATIONS,
            train_cfg=dict(by_epoch=False, max_iters=4 * ITERATIONS),
        )
    seen = []
    runner = runner_of(tiny, wrapper=dict(reward='gdas'), **kwargs)
    runner.register_hook(
        tiny.Record(
            after_train_iter=lambda runner, *unused, **kwargs: seen.append(
                runner.optim_wrapper.temperature
            )
        )
    )
    runner.train()
    share = [max(0, step - ITERATIONS) / (2 * ITERATIONS) for step in range(3 * ITERATIONS)]
    assert seen == pytest.approx([10 - 9.9 * value for value in share])


@pytest.mark.parametrize('by_epoch', [True, False])
def test_the_stage_ends_once_every_slot_is_fixed(tiny, by_epoch):
    kwargs = dict(search=3, warm_up=0)
    if not by_epoch:
        kwargs = dict(
            search=9,
            warm_up=2,
            train_cfg=dict(by_epoch=False, max_iters=12),
            train_dataloader=tiny.digits(
                batch_size=8, indices=24, sampler=dict(type='InfiniteSampler')
            ),
        )
    runner = runner_of(tiny, wrapper=dict(fix_lead=1e-6), **kwargs)
    runner.train()
    meta = hand_over(tiny)['meta']
    assert (
        runner.optim_wrapper.logits.all_fixed
        and tuple(meta['arch']) == runner.optim_wrapper.logits.most_likely()
    )
    assert runner.iter == meta['iter'] < 9, 'before the search is over'
    assert meta['epoch'] == (meta['iter'] / ITERATIONS if by_epoch else 0)
    assert all(sorted(values) == [0, 0, 1] for values in meta['probabilities'])


def test_undecided_slots_take_their_likeliest(tiny):
    runner = runner_of(tiny, search=1, warm_up=0, wrapper=dict(fix_lead=1.0))
    runner.train()
    meta = hand_over(tiny)['meta']
    assert runner.optim_wrapper.logits.fixed == [None] * 8
    assert (
        meta['arch'] == [int(torch.stack([row]).argmax()) for row in logits(runner)]
        and meta['train_seconds'] > 0
    )


def test_momentum_is_kept_where_asked_for_and_of_the_path_alone(tiny):
    runner = runner_of(tiny, search=1, warm_up=0, hook=dict(keep_momentum=True))
    runner.train()
    saved = hand_over(tiny)
    named = dict(runner.model.named_parameters())
    state = runner.optim_wrapper.optimizer.state
    ran = {
        name
        for name, parameter in named.items()
        if parameter in state and name in saved['state_dict']
    }
    assert saved['meta']['optimizer'].keys() == ran > {'backbone.stem.0.weight', 'head.fc.weight'}
    for name, entry in saved['meta']['optimizer'].items():
        assert torch.equal(entry['momentum_buffer'], state[named[name]]['momentum_buffer'])
    assert all(
        torch.equal(value, runner.model.state_dict()[name])
        for name, value in saved['state_dict'].items()
    )


def test_validation_is_of_the_likeliest_arch(tiny, bn_warnings):
    """The supernet is borrowed for the validation alone, and does not warn of its BN statistics."""
    archs, borrowed = [], []
    accuracy = dict(type='Accuracy', topk=(1,))
    runner = runner_of(
        tiny,
        search=1,
        warm_up=0,
        val_dataloader=tiny.digits('held_out', indices=16),
        val_evaluator=accuracy,
        val_cfg=dict(),
    )
    runner.model.backbone.register_forward_pre_hook(
        lambda backbone, _: None if backbone.training else archs.append(backbone.arch)
    )
    runner.model.backbone.register_forward_pre_hook(
        lambda backbone, _: borrowed.append((backbone.training, backbone.is_borrowed))
    )
    runner.train()
    assert archs == [runner.optim_wrapper.logits.most_likely()] and not bn_warnings
    assert set(borrowed) == {(True, False), (False, True)}
    assert not runner.model.backbone.is_borrowed


class Poison(torch.nn.Module):
    """A loss that becomes NaN."""

    def __init__(self, inner, at):
        super().__init__()
        self.inner, self.left = inner, at

    def forward(self, *args, **kwargs):
        self.left -= 1
        return self.inner(*args, **kwargs) * (math.nan if self.left < 0 else 1.0)


def test_a_diverged_search_keeps_its_last_checkpoint(tiny):
    runner = runner_of(tiny, search=2, warm_up=1)
    runner.model.head.loss_module = Poison(runner.model.head.loss_module, at=ITERATIONS + 1)
    with pytest.raises(
        FloatingPointError,
        match=f'at pass {ITERATIONS + 1}: training has diverged; the last checkpoint is from '
        f'before it',
    ):
        runner.train()
    checkpoint = load_checkpoint(tiny.folder / 'epoch_1.pth')
    assert all(torch.isfinite(value).all() for value in checkpoint['state_dict'].values())
    assert checkpoint['optimizer']['dsnas']['passes'] == ITERATIONS
    assert (
        not (tiny.folder / 'hand_over.pth').exists() and not (tiny.folder / 'epoch_2.pth').exists()
    )


# Wrong input.


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (
            dict(search=2, warm_up=2),
            'warm_up=2 of DSNASHook: expected less than search=2: no time would be left',
        ),
        (dict(search=2, warm_up=-1), '^custom_hooks.0.warm_up=-1: expected a whole number'),
        (dict(search=5), 'search=5 epochs of DSNASHook: training has only 4'),
        (
            dict(search=13, train_cfg=dict(by_epoch=False, max_iters=12)),
            'search=13 iterations of DSNASHook: training has only 12',
        ),
        (
            dict(wrapper=dict(accumulative_counts=4)),
            r'^optim_wrapper.accumulative_counts=4: the search of DSNASHook takes 6 iterations and '
            'would end within an update; expected a divisor of 6, such as 2$',
        ),
        (
            dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1))),
            'optim_wrapper of type OptimWrapper: DSNASHook needs',
        ),
        (dict(model=model(arch='22222222')), 'ImageClassifier has a subnet as its backbone'),
        (
            dict(wrapper=dict(macs_limit=1e3, input_size=32)),
            'macs_limit=1000 of DSNASOptimWrapper: the least that the choice blocks',
        ),
    ],
)
def test_wrong_settings_end_before_training(tiny, kwargs, message):
    with pytest.raises(InputError, match=message):
        runner_of(tiny, **kwargs).train()
    assert not list(tiny.folder.glob('*.pth'))


def test_pinas_draws_its_own_archs(tiny):
    with pytest.raises(InputError, match='DSNASOptimWrapper: PiNAS draws its own archs'):
        runner_of(tiny, model=tiny.pinas(), train_dataloader=tiny.four_views()).train()


def test_a_checkpoint_of_another_wrapper_is_not_resumed(tiny):
    tiny.training(model=model(), custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')]).train()
    with pytest.raises(
        InputError, match='the checkpoint to resume was saved by another optimiser wrapper'
    ):
        runner_of(tiny, resume=True).train()
