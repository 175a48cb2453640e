import pytest
import torch
from mmengine.registry import init_default_scope
from tiny_dsnas import ITERATIONS, hand_over, model

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.errors import InputError

ARCH = (2, 2, 1, 0, 1, 2, 0, 1)
EPOCHS = 4
WARM_UP = dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=8)


@pytest.fixture
def path(tiny):
    init_default_scope('mmpretrain')
    return tiny.folder / 'hand_over.pth'


def training(tiny, path, hook=True, **kwargs):
    """A Runner of the second stage, or without the hook of the whole training."""
    kwargs.setdefault('model', model(arch=ARCH))
    hooks = [dict(type='pinas_mm.HandOverHook', checkpoint=str(path))] if hook else []
    return tiny.training(
        epochs=EPOCHS,
        loader=tiny.digits(batch_size=4, indices=4 * ITERATIONS),
        custom_hooks=hooks,
        work_dir=str(tiny.folder / f'hook_{hook}'),
        **kwargs,
    )


def rates(tiny, runner):
    """Epoch, iteration and learning rate of every iteration; nothing is computed in it."""
    found = []
    runner.model.train_step = lambda data, optim_wrapper: dict(loss=torch.zeros(()))
    runner.register_hook(
        tiny.Record(
            before_train_iter=lambda runner, **unused: found.append(
                (runner.epoch, runner.iter, runner.optim_wrapper.get_lr()['lr'][0])
            )
        ),
        'VERY_LOW',
    )
    runner.train()
    return found


@pytest.mark.parametrize(
    'schedulers',
    [
        [WARM_UP, dict(type='CosineAnnealingLR', T_max=EPOCHS, by_epoch=True)],
        [dict(type='MultiStepLR', milestones=[1, 3], gamma=0.1, by_epoch=True)],
        [
            dict(
                type='LinearLR',
                start_factor=0.1,
                begin=0,
                end=1,
                by_epoch=True,
                convert_to_iter_based=True,
            ),
            dict(
                type='CosineAnnealingLR',
                T_max=3,
                begin=1,
                end=EPOCHS,
                by_epoch=True,
                convert_to_iter_based=True,
            ),
        ],
        None,
    ],
    ids=['both', 'epochs', 'converted', 'none'],
)
def test_counters_and_learning_rate_go_on_where_the_first_stage_stopped(tiny, path, schedulers):
    hand_over(path)
    whole = rates(tiny, training(tiny, path, hook=False, param_scheduler=schedulers))
    assert rates(tiny, training(tiny, path, param_scheduler=schedulers)) == [
        (epoch, iteration, pytest.approx(rate, rel=1e-6))
        for epoch, iteration, rate in whole[2 * ITERATIONS :]
    ]


def test_a_loop_of_iterations_goes_on_too(tiny, path):
    hand_over(path, epoch=0, iter=5)
    kwargs = dict(
        param_scheduler=[
            dict(type='PolyLR', power=0.9, eta_min=1e-3, begin=0, end=9, by_epoch=False)
        ],
        train_cfg=dict(by_epoch=False, max_iters=9),
        train_dataloader=tiny.digits(
            batch_size=4, indices=12, sampler=dict(type='InfiniteSampler', shuffle=True)
        ),
    )
    whole = rates(tiny, training(tiny, path, hook=False, **kwargs))
    found = rates(tiny, training(tiny, path, **kwargs))
    assert (
        found == [(0, iteration, pytest.approx(rate, rel=1e-6)) for _, iteration, rate in whole[5:]]
        and len(found) == 4
    )


def test_the_weights_are_those_handed_over_and_the_optimiser_is_new(tiny, path):
    net, seen = hand_over(path), {}
    runner = training(tiny, path)

    def note(runner, **unused):
        if not seen:
            seen.update({name: value.clone() for name, value in runner.model.state_dict().items()})
            seen['state'] = len(runner.optim_wrapper.optimizer.state)

    runner.register_hook(tiny.Record(before_train_iter=note), 'VERY_LOW')
    runner.train()
    assert seen.pop('state') == 0
    assert seen.keys() == net.state_dict().keys() and all(
        torch.equal(seen[name], value) for name, value in net.state_dict().items()
    )


def test_momentum_is_handed_over_exactly(tiny, path):
    torch.manual_seed(0)
    shapes = {name: value.shape for name, value in hand_over(path).named_parameters()}
    buffers = {name: dict(momentum_buffer=torch.randn(shape)) for name, shape in shapes.items()}
    hand_over(path, optimizer=buffers)
    runner, seen = training(tiny, path), {}

    def note(runner, **unused):
        if not seen:
            state = runner.optim_wrapper.optimizer.state
            seen.update(
                {
                    name: state[value]['momentum_buffer'].clone()
                    for name, value in runner.model.named_parameters()
                }
            )

    runner.register_hook(tiny.Record(before_train_iter=note), 'VERY_LOW')
    runner.train()
    assert seen.keys() == buffers.keys() and all(
        torch.equal(seen[name], buffers[name]['momentum_buffer']) for name in seen
    )


def test_a_resumed_second_stage_takes_nothing_from_it(tiny, path):
    hand_over(path)
    training(tiny, path).train()
    path.unlink()
    resumed = training(tiny, path, resume=True)
    resumed.train()
    assert resumed.epoch == EPOCHS


def test_what_is_no_hand_over_is_refused(tiny, path):
    net = hand_over(path, arch=(1,) * 8)
    with pytest.raises(
        InputError, match=r'arch=\(1, 1, .*: expected \(2, 2, 1, 0, 1, 2, 0, 1\), as'
    ):
        training(tiny, path).train()
    save_checkpoint(path, net.state_dict(), dict(epoch=3, iter=9))
    with pytest.raises(InputError, match='hand_over.pth: not the hand-over of a search by DSNAS'):
        training(tiny, path).train()
    path.unlink()
    with pytest.raises(InputError, match='no such checkpoint'):
        training(tiny, path).train()
