import pytest
from mmengine.logging import MessageHub

from pinas_mm.errors import InputError
from pinas_mm.training_length import training_length


def test_it_is_what_the_present_run_says(tiny):
    MessageHub.get_instance('test_training_length')
    with pytest.raises(InputError, match='who: the length of the training is unknown'):
        training_length('who')
    found = []
    runner = tiny.training(epochs=2, custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')])
    runner.register_hook(
        tiny.Record(before_train_iter=lambda runner, **unused: found.append(training_length('who')))
    )
    runner.train()
    assert found == [8] * 8
