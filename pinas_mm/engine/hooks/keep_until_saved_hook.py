"""Checkpoints that a new one replaces are removed when it is there, not before."""

import contextlib
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

# The key of the message hub.
OUTDATED = 'outdated_ckpts'


class KeepUntilSavedHook(Hook):
    """Postpones what mmengine's CheckpointHook removes until it has saved.

    CheckpointHook removes the oldest checkpoint, and the best one so far, before it saves the new
    one. With ``max_keep_ckpts=1`` a kill or a full disk in between would leave none. So every
    CheckpointHook of a runner, also one of a class of its own, gets a file backend that
    only notes what to remove. What is noted goes once all hooks have run; after a kill in between,
    once training has resumed from the new checkpoint, which knows it.

    It also lets a work dir be moved: the best checkpoint is looked for by its name, and nothing
    outside of the hook's folder is removed.

    Our :class:`~pinas_mm.engine.runner.SafeRunner` has this hook.
    """

    priority = 'LOWEST'  # after what saves

    def __init__(self) -> None:
        self.backends: list[PostponedRemovals] = []

    def before_train(self, runner: Runner) -> None:
        self.backends = []
        for hook in runner.hooks:
            # A class with a start of its own has no backend, and removes what it removes.
            if isinstance(hook, CheckpointHook) and hasattr(hook, 'file_backend'):
                find_best_by_name(hook)
                hook.file_backend = PostponedRemovals(hook, runner)
                self.backends.append(hook.file_backend)
        self.remove()

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        self.remove()

    def after_train_epoch(self, runner: Runner) -> None:
        self.remove()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self.remove()

    def remove(self) -> None:
        for backend in self.backends:
            backend.remove_noted()


class PostponedRemovals:
    """The file backend of a CheckpointHook, except that it notes what is to be removed.

    Args:
        hook: The hook, after its ``before_train``.
        runner: Its runner. What is noted is in the runner's message hub, and so in checkpoints.
    """

    def __init__(self, hook: CheckpointHook, runner: Runner) -> None:
        self.backend, self.hook, self.runner = hook.file_backend, hook, runner
        self.noted: dict[str, Callable[[], None]] = {}
        info = runner.message_hub.runtime_info
        # Of a process that was killed after it saved the checkpoint that is resumed from.
        if is_main_process() and 'last_ckpt' in info and self._has(info['last_ckpt']):
            for name in filter(self._has, info.get(OUTDATED, ())):
                self.remove(self.backend.join_path(hook.out_dir, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self._note(path, self.backend.remove)

    def rmtree(self, path: str) -> None:
        self._note(path, self.backend.rmtree)

    def remove_noted(self) -> None:
        """Removes what is noted, but for what the hook has saved again under the same name."""
        if not self.noted:
            return
        info = self.runner.message_hub.runtime_info
        last_and_best = {
            os.path.basename(path)
            for key, path in info.items()
            if key == 'last_ckpt' or key.startswith('best_ckpt')
        }
        for path, remove in self.noted.items():
            if os.path.basename(path) not in last_and_best:
                with contextlib.suppress(FileNotFoundError):
                    remove()
        self.noted.clear()
        self.runner.message_hub.update_info(OUTDATED, [])

    def _has(self, path: str) -> bool:
        """Whether the hook's folder has a file of that name."""
        return self.backend.isfile(
            self.backend.join_path(self.hook.out_dir, os.path.basename(path))
        )

    def _note(self, path: str, remove: Callable[[str], None]) -> None:
        path = str(path)
        if os.path.dirname(path) != str(self.hook.out_dir).rstrip('/'):
            return  # a checkpoint of the work dir that this training was copied or resumed from
        self.noted[path] = partial(remove, path)
        names = [os.path.basename(noted) for noted in self.noted]
        self.runner.message_hub.update_info(OUTDATED, names)


def find_best_by_name(hook: CheckpointHook) -> None:
    """Lets a hook that resumed find its best checkpoints where its work dir is now."""

    def here(path: str | None) -> str | None:
        found = path and hook.file_backend.join_path(hook.out_dir, os.path.basename(path))
        return found if found and hook.file_backend.isfile(found) else path

    if getattr(hook, 'best_ckpt_path', None):
        hook.best_ckpt_path = here(hook.best_ckpt_path)
    for metric, path in getattr(hook, 'best_ckpt_path_dict', {}).items():
        hook.best_ckpt_path_dict[metric] = here(path)
