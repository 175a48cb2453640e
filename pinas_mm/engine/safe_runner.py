"""mmengine's Runner, except that no checkpoint it loads can run code and none it saves is torn."""

import os
from typing import Any

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from ..checkpoint import load_checkpoint, only_plain_tensors


class SafeRunner(Runner):
    """The runner of the tools.

    mmengine loads checkpoints without ``weights_only`` where torch lets it, and on resume executes
    the config text that a checkpoint holds. Here every checkpoint is opened with
    ``weights_only=True``, and that text is dropped."""

    def _init_model_weights(self) -> None:
        # ``init_cfg=dict(type='Pretrained')`` anywhere in the model.
        with only_plain_tensors():
            super()._init_model_weights()

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Loads weights as mmengine does, after :func:`pinas_mm.checkpoint.load_checkpoint` has
        accepted the file.

        Raises:
            InputError: The file is not a checkpoint of plain tensors.
        """
        load_checkpoint(filename)
        checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        checkpoint.get('meta', {}).pop('config', None)
        return checkpoint

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Saves as mmengine does, to a file beside the checkpoint that is then renamed: a full disk
        or a kill leaves no torn one."""
        if '://' in str(out_dir):  # a remote storage writes whole objects
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        part = f'{filename}.part'
        super().save_checkpoint(out_dir, part, *args, **kwargs)
        if is_main_process():
            os.replace(os.path.join(out_dir, part), os.path.join(out_dir, filename))
