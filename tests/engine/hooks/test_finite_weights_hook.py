import pytest
import torch

from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.engine.runner import build_runner


def training(tiny, at, **changes):
    """Two epochs of four iterations; at one of them a weight becomes infinite."""

    def after_train_iter(runner, **kwargs):
        if runner.iter + 1 == at:
            runner.model.head.fc.bias.data[3] = float('inf')

    config = tiny.training(epochs=2).cfg
    config.custom_hooks = [dict(type='pinas_mm.ArchSamplingHook')]
    config.merge_from_dict(changes | dict(experiment_name=f'{tiny.folder.name}{at}'))
    runner = build_runner(config)
    runner.register_hook(tiny.Record(after_train_iter=after_train_iter))
    return runner


def test_a_training_that_diverges_ends_before_it_replaces_its_last_good_checkpoint(tiny):
    with pytest.raises(
        FloatingPointError,
        match=r'^iteration [78]: \d+ of \d+ values of \S+ are NaN or infinite: its training',
    ):
        training(
            tiny, 6, default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1))
        ).train()
    assert [path.name for path in tiny.folder.glob('*.pth')] == ['epoch_1.pth']
    state = load_checkpoint(tiny.folder / 'epoch_1.pth')['state_dict']
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_a_training_without_checkpoints_is_looked_at_at_its_end(tiny):
    with pytest.raises(FloatingPointError, match='iteration 8: 1 of 10 values of head.fc.bias'):
        training(tiny, 8, default_hooks=dict(checkpoint=None)).train()
    training(tiny, None, default_hooks=dict(checkpoint=None)).train()


def test_an_infinity_on_purpose_is_none_of_its_business(tiny):
    runner = training(tiny, None)
    runner.model.register_buffer('least', torch.tensor(float('inf')))
    runner.train()
    assert load_checkpoint(tiny.folder / 'epoch_2.pth')['state_dict']['least'].isinf()


def test_a_checkpoint_that_is_saved_without_a_training(tiny):
    runner = training(tiny, None)
    runner.save_checkpoint(
        str(tiny.folder), 'made.pth', save_optimizer=False, save_param_scheduler=False
    )
    assert (tiny.folder / 'made.pth').exists()
