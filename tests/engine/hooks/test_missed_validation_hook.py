import pytest
from mmengine.hooks import Hook
from toy_training import checkpoints, toy_runner, train


class Stop(Hook):
    """Ends the training before its first validation; counts those that there are."""

    def __init__(self, stop=False):
        self.stop, self.count = stop, 0

    def before_val(self, runner):
        self.count += 1
        if self.stop:
            raise KeyboardInterrupt


def run(folder, stop=False, **changes):
    runner, hook = toy_runner(folder, **changes), Stop(stop)
    runner.register_hook(hook)
    try:
        runner.train()
    except KeyboardInterrupt:
        assert stop
    return hook.count


# The first epoch is the best.
FALLING = dict(rule='less')
BY_ITERATIONS = dict(
    checkpoint=FALLING | dict(by_epoch=False, interval=2),
    train_cfg=dict(by_epoch=False, max_iters=6, val_interval=2),
)


@pytest.mark.parametrize('changes', [dict(checkpoint=FALLING), BY_ITERATIONS])
def test_the_validation_after_the_last_save_is_made_up_for(tmp_path, changes):
    """The best checkpoint was that of the second epoch."""
    assert run(tmp_path / 'whole', **changes) == 3
    assert run(tmp_path / 'parts', stop=True, **changes) == 1
    assert len(checkpoints(tmp_path / 'parts')) == 1, 'saved, not validated'
    assert run(tmp_path / 'parts', resume=True, **changes) == 3
    assert checkpoints(tmp_path / 'parts') == checkpoints(tmp_path / 'whole')
    assert any(name.startswith('best_epochs') for name in checkpoints(tmp_path / 'whole'))


@pytest.mark.parametrize(
    'changes, count',
    [
        (dict(checkpoint=dict(save_best=None)), 2),  # nothing depends on it
        (dict(train_cfg=dict(by_epoch=True, max_epochs=3, val_interval=2)), 2),
        (dict(train_cfg=dict(by_epoch=True, max_epochs=3, val_begin=2)), 2),
        (dict(val_cfg=None, val_dataloader=None, val_evaluator=None), 0),
    ],
)
def test_none_is_run_that_was_not_due_or_that_nothing_depends_on(tmp_path, changes, count):
    if changes.get('val_cfg', 1) is None:
        changes = changes | dict(checkpoint=dict(save_best=None))
    first = changes | dict(train_cfg=dict(by_epoch=True, max_epochs=1, val_begin=2))
    if changes.get('val_cfg', 1) is None:
        first['train_cfg'].pop('val_begin')
    run(tmp_path, **first)
    assert run(tmp_path, resume=True, **changes) == count


def test_a_training_that_starts_validates_nothing_first(tmp_path):
    train(tmp_path / 'a', 1)
    load = str(tmp_path / 'a/epoch_1.pth')
    assert run(tmp_path / 'b', load_from=load) == 3
