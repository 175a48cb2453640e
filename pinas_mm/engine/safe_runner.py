"""mmengine's Runner, except that no checkpoint it loads can run code."""
from typing import Any

from mmengine.runner import Runner

from ..checkpoint import load_checkpoint


class SafeRunner(Runner):
    """The runner of the tools.

    mmengine loads checkpoints without ``weights_only`` where torch lets it, and on resume executes the config text that a checkpoint
    holds. Here every checkpoint is first opened with ``weights_only=True``, and that text is dropped.
    """

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Loads weights as mmengine does, after :func:`pinas_mm.checkpoint.load_checkpoint` has accepted the file.

        Raises:
            InputError: The file is not a checkpoint of plain tensors.
        """
        load_checkpoint(filename)
        checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        checkpoint.get('meta', {}).pop('config', None)
        return checkpoint
