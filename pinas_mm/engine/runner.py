"""The runner of the tools: mmengine's, with safe checkpoints and the layout that is fast here; and
a supernet of a config without a runner."""

import copy
import os
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import init_dist, is_distributed, is_main_process
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS
from mmengine.runner import Runner

from ..checkpoint import check_finite, finite_tensors, load_checkpoint, only_plain_tensors
from ..errors import InputError
from ..models.backbones import pretrained_files
from ..models.channels import check_channels
from ..private_api import already_read
from ..unwrap import unwrapped
from .data_settings import fill_in_from_data
from .hooks.finite_weights_hook import FiniteWeightsHook
from .hooks.label_range_hook import LabelRangeHook
from .loader_settings import check_loaders
from .loaders import build_loader


class SafeRunner(Runner):
    """mmengine's Runner, except that no checkpoint it loads can run code and none it saves is torn.

    mmengine loads checkpoints without ``weights_only`` where torch lets it, and on resume executes
    the config text that a checkpoint holds. Here every checkpoint is opened with
    ``weights_only=True``, and that text is dropped."""

    def _init_model_weights(self) -> None:
        # ``init_cfg=dict(type='Pretrained')`` anywhere in the model.
        finite = finite_tensors(self.model)
        with only_plain_tensors():
            super()._init_model_weights()
        state = self.model.state_dict()
        for name, module in self.model.named_modules():
            below = f'{name}.' if name else ''
            for file in pretrained_files(module):
                check_finite(
                    file, state, [key for key in state if key.startswith(below) and key in finite]
                )

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Loads weights as mmengine does, from what :func:`pinas_mm.checkpoint.load_checkpoint` has
        read: the file may be another one at a second look.

        Raises:
            InputError: The file is not a checkpoint of plain tensors, or one that the model takes
                is not finite.
        """
        read = load_checkpoint(filename)
        finite = finite_tensors(unwrapped(self.model))
        for part in ('state_dict', 'ema_state_dict'):
            state = read.get(part, {})
            check_finite(
                filename, state, [key for key in state if key.removeprefix('module.') in finite]
            )
        with already_read(read):
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        checkpoint.get('meta', {}).pop('config', None)
        return checkpoint

    # A loader of ours wherever mmengine's loops build one.
    build_dataloader = staticmethod(build_loader)

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


def init_ranks(config: Config) -> None:
    """Starts the ranks that a config's launcher asks for, before its first Runner would: they look
    at files together."""
    if config.get('launcher', 'none') != 'none' and not is_distributed():
        init_dist(config.launcher, **config.get('env_cfg', {}).get('dist_cfg', {}))


def build_runner(config: Config) -> SafeRunner:
    """The runner of a config.

    Its model is in channels-last layout where there is no GPU, unless it has operators of mmcv:
    those read every input as if it were contiguous, on CPUs and on GPUs (RoIAlign of a
    channels-last map is silently wrong). ``channels_last = False`` (or True) in a config decides.

    What the config leaves to its data is filled in (:func:`~.data_settings.fill_in_from_data`), and
    labels are compared with the head before training (:class:`LabelRangeHook`). A training whose
    weights are not finite any more ends (:class:`FiniteWeightsHook`).

    Raises:
        InputError: A loader cannot be built, a neck or head does not take the backbone's channels,
            channels-last is asked for with operators of mmcv, or what
            :func:`~.data_settings.fill_in_from_data` raises.
    """
    check_loaders(config)
    fill_in_from_data(config)
    runner = SafeRunner.from_cfg(config)
    runner.register_hook(LabelRangeHook())
    runner.register_hook(FiniteWeightsHook())
    check_channels(runner.model)
    on_gpu = torch.cuda.is_available()
    operators = sorted(
        {
            type(module).__name__
            for module in runner.model.modules()
            # Or of a class made from one, as mm's packages have them.
            if any(cls.__module__.startswith('mmcv.ops') for cls in type(module).__mro__)
        }
    )
    if config.get('channels_last', not on_gpu and not operators):
        if operators:
            raise InputError(
                f"channels_last=True: mmcv's {', '.join(operators)} would read such inputs as "
                f'contiguous ones; leave it out'
            )
        # Depthwise and grouped convolutions are 1.3 to 2.2 times as fast this way (docs/cpu.md);
        # outputs follow the weights' layout.
        runner.model.to(memory_format=torch.channels_last)
    return runner


def build_supernet(config: Config) -> BaseModel:
    """The model of a config with a supernet as its backbone, untrained.

    Raises:
        InputError: A neck or head does not take the backbone's channels.
    """
    model_config = copy.deepcopy(config.model)
    model_config.backbone.update(arch=None, init_cfg=None)
    model_config.setdefault('data_preprocessor', config.get('data_preprocessor'))
    # Its norms see one process's images; a synchronised one would not run on a CPU at all.
    model = revert_sync_batchnorm(MODELS.build(model_config)).to(get_device())
    check_channels(model)
    return model
