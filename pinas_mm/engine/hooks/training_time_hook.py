"""Keeps how long training has taken, stops in between left out."""

import time

from mmengine.hooks import Hook
from mmengine.runner import Runner

KEY = 'train_seconds'


class TrainingTimeHook(Hook):
    """Counts the wall-clock seconds of training, in the checkpoint's message hub: a resumed run
    goes on counting.

    The start of the Runner, and what was trained after the last checkpoint before a stop, are left
    out."""

    def before_train(self, runner: Runner) -> None:
        self._start = time.monotonic() - training_seconds(runner)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: dict | None = None,
    ) -> None:
        runner.message_hub.update_info(KEY, time.monotonic() - self._start)


def training_seconds(runner: Runner) -> float:
    """The seconds counted so far; 0 before the first iteration."""
    return runner.message_hub.get_info(KEY, 0.0)
