"""Whether a training resumes on the data that it began with."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...datasets.fingerprint import fingerprint
from ...errors import InputError
from ...registry import HOOKS
from ...settings import changed_settings


@HOOKS.register_module()
class SameDataHook(Hook):
    """Keeps in the ``meta`` of every checkpoint what the data of its training are
    (:func:`~pinas_mm.datasets.fingerprint.fingerprint`), and compares when it resumes. Every
    training that our runner builds has it (:func:`~pinas_mm.engine.runner.build_runner`).

    Raises:
        InputError: A training resumes on other data: images or labels were added, removed or
            replaced. A checkpoint without this entry is not compared, nor are data that change
            from look to look.
    """

    def __init__(self) -> None:
        self.data: dict[str, Any] | None = None  # they are looked at once

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint['meta']['data'] = self.of(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        before = checkpoint.get('meta', {}).get('data')
        if not runner.cfg.get('resume') or not isinstance(before, dict):
            return
        now = self.of(runner)
        both = before.keys() & now.keys()
        changes = changed_settings(*({key: each[key] for key in both} for each in (before, now)))
        if changes:
            self.data = None
            if self.of(runner) != now:  # drawn at random whenever they are looked at
                return
            raise InputError(
                f'--resume: the data changed since {runner.work_dir} was begun: {changes}; '
                f'restore the data, or start a new training from these weights: without --resume, '
                f'with load_from='
            )

    def of(self, runner: Runner) -> dict[str, Any]:
        """What a training learns from and is validated on, by the loader's key."""
        if self.data is None:
            loops = dict(train_dataloader=runner.train_loop, val_dataloader=runner.val_loop)
            found = {
                key: fingerprint(loop.dataloader.dataset)
                for key, loop in loops.items()
                if loop is not None
            }
            self.data = {key: each for key, each in found.items() if each is not None}
        return self.data
