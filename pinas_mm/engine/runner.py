"""The runner of the tools: mmengine's, with safe checkpoints and the layout that is fast here."""

import os
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from ..checkpoint import load_checkpoint, only_plain_tensors
from ..errors import InputError
from ..models.channels import check_channels
from ..private_api import already_read


class SafeRunner(Runner):
    """mmengine's Runner, except that no checkpoint it loads can run code and none it saves is torn.

    mmengine loads checkpoints without ``weights_only`` where torch lets it, and on resume executes
    the config text that a checkpoint holds. Here every checkpoint is opened with
    ``weights_only=True``, and that text is dropped."""

    def _init_model_weights(self) -> None:
        # ``init_cfg=dict(type='Pretrained')`` anywhere in the model.
        with only_plain_tensors():
            super()._init_model_weights()

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Loads weights as mmengine does, from what :func:`pinas_mm.checkpoint.load_checkpoint` has
        read: the file may be another one at a second look.

        Raises:
            InputError: The file is not a checkpoint of plain tensors.
        """
        with already_read(load_checkpoint(filename)):
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


def build_runner(config: Config) -> SafeRunner:
    """The runner of a config.

    Its model is in channels-last layout where there is no GPU, unless it has operators of mmcv: on
    CPUs those read every input as if it were contiguous (RoIAlign of a channels-last map is
    silently wrong). ``channels_last = False`` (or True) in a config decides.

    Raises:
        InputError: A neck or head does not take the backbone's channels, or channels-last is asked
            for with operators of mmcv on a CPU.
    """
    runner = SafeRunner.from_cfg(config)
    check_channels(runner.model)
    on_gpu = torch.cuda.is_available()
    operators = sorted(
        {
            type(module).__name__
            for module in runner.model.modules()
            if type(module).__module__.startswith('mmcv.ops')
        }
    )
    if config.get('channels_last', not on_gpu and not operators):
        if operators and not on_gpu:
            raise InputError(
                f"channels_last=True: on a CPU mmcv's {', '.join(operators)} would read such "
                f'inputs as contiguous ones; leave '
                'it out'
            )
        # Depthwise and grouped convolutions are 1.3 to 2.2 times as fast this way (docs/cpu.md);
        # outputs follow the weights' layout.
        runner.model.to(memory_format=torch.channels_last)
    return runner
