"""Validates what a training that was killed has saved and not validated."""

from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from ...private_api import validation_is_due


class MissedValidationHook(Hook):
    """Runs the validation that was due when a training resumes, where the best checkpoint is kept.

    mmengine saves before it validates. A training that was killed in between, or before it noted
    what was best, would resume after the validation, and keep another checkpoint as its best than
    one that was not killed. A validation that was done already gives the same once more.

    Our :class:`~pinas_mm.engine.runner.SafeRunner` has this hook.
    """

    priority = 'LOWEST'  # the hook that keeps the best has to be ready

    def before_train(self, runner: Runner) -> None:
        keeps_best = any(
            isinstance(hook, CheckpointHook) and hook.save_best for hook in runner.hooks
        )
        resumed = getattr(runner, 'resumed', False)
        if resumed and keeps_best and runner.val_loop is not None and validation_is_due(runner):
            runner.val_loop.run()
