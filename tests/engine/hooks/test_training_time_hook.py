from types import SimpleNamespace

import pytest

from pinas_mm.engine.hooks import training_time_hook
from pinas_mm.engine.hooks.training_time_hook import TrainingTimeHook, training_seconds


def test_seconds_add_up_over_a_resume_and_leave_out_what_lies_between(tiny, monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(training_time_hook, 'time', SimpleNamespace(monotonic=lambda: clock.now))

    def tick(runner, **unused):
        clock.now += 2.5

    def run(epochs, **kwargs):
        runner = tiny.training(
            epochs=epochs, loader=tiny.digits(batch_size=4, indices=12), **kwargs
        )
        runner.register_hook(TrainingTimeHook())
        runner.register_hook(tiny.Record(before_train_iter=tick), 'VERY_LOW')
        assert training_seconds(runner) == 0
        runner.train()
        return training_seconds(runner)

    arch = dict(model=tiny.classifier(arch='00000000'))
    assert run(1, **arch) == pytest.approx(3 * 2.5)
    clock.now = 5.0  # another machine, days later
    assert run(3, resume=True, **arch) == pytest.approx(9 * 2.5)
