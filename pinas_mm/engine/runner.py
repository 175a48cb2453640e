"""The runner of the tools: mmengine's, with safe checkpoints and the layout that is fast here; and
a supernet of a config without a runner."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, init_dist, is_distributed, is_main_process
from mmengine.fileio import FileClient, HardDiskBackend, LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS
from mmengine.runner import Runner, save_checkpoint
from torch import nn

from ..checkpoint import (
    check_finite,
    finite_tensors,
    load_checkpoint,
    only_plain_tensors,
    require_shared_tensor,
    write_checkpoint,
)
from ..errors import InputError
from ..fileio import text_written_atomic
from ..lost_ranks import watch_ranks
from ..models.backbones import pretrained_files
from ..models.channels import check_channels
from ..private_api import already_read, resumes_latest, trainings_write_with
from ..unwrap import unwrapped
from .data_settings import fill_in_from_data
from .hooks.finite_weights_hook import FiniteWeightsHook
from .hooks.keep_until_saved_hook import KeepUntilSavedHook
from .hooks.label_range_hook import LabelRangeHook
from .hooks.missed_validation_hook import MissedValidationHook
from .hooks.progress_hook import ProgressHook
from .hooks.same_data_hook import SameDataHook
from .latest_checkpoint import TEMPLATES, latest_readable, name_last
from .loaders import build_loader
from .settings_check import check_load_from, check_phases, check_settings


class SafeRunner(Runner):
    """mmengine's Runner, except that no checkpoint it loads can run code and none it saves is torn.

    mmengine loads checkpoints without ``weights_only`` where torch lets it, and on resume executes
    the config text that a checkpoint holds. Here every checkpoint is opened with
    ``weights_only=True``, and that text is dropped.

    A checkpoint and ``last_checkpoint`` are written as a whole, and what they replace is removed
    afterwards (:class:`KeepUntilSavedHook`)."""

    # What :meth:`load_or_resume` has read, with its path, until :meth:`load_checkpoint` takes it.
    _latest: tuple[str, dict[str, Any]] | None = None
    # Whether this training goes on from a checkpoint.
    resumed = False

    def _init_model_weights(self) -> None:
        with checked_pretrained(self.model):
            super()._init_model_weights()

    def register_hooks(self, *args: Any, **kwargs: Any) -> None:
        super().register_hooks(*args, **kwargs)
        self.register_hook(KeepUntilSavedHook())
        self.register_hook(MissedValidationHook())

    def train(self) -> nn.Module:
        """Trains as mmengine does; all that CheckpointHook writes is there as a whole or not at
        all."""
        with trainings_write_with(save_whole, text_written_atomic):
            return super().train()

    def load_or_resume(self) -> None:
        """Loads or resumes as mmengine does, except that a training that resumes without a
        checkpoint named takes the latest that can be read.

        Raises:
            InputError: Not one of them can be read.
        """
        if resumes_latest(self):
            templates = [
                hook.filename_tmpl for hook in self.hooks if isinstance(hook, CheckpointHook)
            ]
            # One rank looks: they could read different files.
            message: list[Any] = [None, None]
            if is_main_process():
                try:
                    if found := latest_readable(self.work_dir, templates or TEMPLATES):
                        message[0], self._latest = found[0], found
                        name_last(self.work_dir, found[0])
                except (InputError, OSError) as error:
                    message[1] = str(error)
            broadcast_object_list(message)
            path, reason = message
            if reason is not None:
                raise InputError(reason)
            if path is not None:
                self.resume(path)
        super().load_or_resume()

    def resume(self, *args: Any, **kwargs: Any) -> None:
        super().resume(*args, **kwargs)
        self.resumed = True

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Loads weights as mmengine does, from what :func:`pinas_mm.checkpoint.load_checkpoint` has
        read: the file may be another one at a second look.

        Raises:
            InputError: The file is not a checkpoint of plain tensors; one that the model takes is
                not finite; or not one is of the model: mmengine would train from random weights.
        """
        found, self._latest = self._latest, None
        read = found[1] if found and found[0] == filename else load_checkpoint(filename)
        finite = finite_tensors(unwrapped(self.model))
        for part in ('state_dict', 'ema_state_dict'):
            state = read.get(part, {})
            check_finite(
                filename, state, [key for key in state if key.removeprefix('module.') in finite]
            )
        before = _versions(self.model)
        try:
            with already_read(read):
                checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        except InputError as error:
            # A module that looks at what it is given does not know the file.
            raise InputError(f'{filename}: {str(error).removeprefix("checkpoint: ")}') from error
        # By other names a model may take them too: ``revise_keys``, or a loading of its own.
        if _versions(self.model) == before:
            require_shared_tensor(unwrapped(self.model), checkpoint['state_dict'], filename)
        checkpoint.get('meta', {}).pop('config', None)
        return checkpoint

    # A loader of ours wherever mmengine's loops build one.
    build_dataloader = staticmethod(build_loader)

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Saves as mmengine does, to a file beside the checkpoint that is synced and renamed: a
        full disk, a kill or a power cut leaves no torn one."""
        with trainings_write_with(save_whole, text_written_atomic):
            super().save_checkpoint(*args, **kwargs)


@contextmanager
def checked_pretrained(model: nn.Module) -> Iterator[None]:
    """Within it a model starts from what ``init_cfg=dict(type='Pretrained')`` of its modules name.

    Raises:
        InputError: A file could run code, is damaged, or gave values that are not finite.
    """
    finite = finite_tensors(model)
    with only_plain_tensors():
        yield
    state = model.state_dict()
    for name, module in model.named_modules():
        below = f'{name}.' if name else ''
        for file in pretrained_files(module):
            check_finite(
                file, state, [key for key in state if key.startswith(below) and key in finite]
            )


def _versions(model: nn.Module) -> list[tuple[int, int]]:
    """What changes when a parameter of a model is replaced or written. Norms write their counter
    whatever they are given."""
    return [(id(parameter), parameter._version) for parameter in model.parameters()]


def save_whole(
    checkpoint: dict[str, Any],
    filename: str,
    file_client_args: dict[str, Any] | None = None,
    backend_args: dict[str, Any] | None = None,
) -> None:
    """mmengine's ``save_checkpoint``, except that a file on a disk is written as a whole. A remote
    storage writes whole objects."""
    backend = (
        get_file_backend(filename, backend_args=backend_args)
        if file_client_args is None
        else FileClient.infer_client(file_client_args, filename).client
    )
    if type(backend) in (LocalBackend, HardDiskBackend):
        write_checkpoint(filename, checkpoint)
    else:
        save_checkpoint(checkpoint, filename, file_client_args, backend_args)


def init_ranks(config: Config) -> None:
    """Starts the ranks that a config's launcher asks for, before its first Runner would: they look
    at files together. One that hangs is named after ``env_cfg.dist_cfg.timeout`` seconds
    (:mod:`pinas_mm.lost_ranks`)."""
    settings = config.get('env_cfg', {}).get('dist_cfg', {})
    if config.get('launcher', 'none') != 'none' and not is_distributed():
        init_dist(config.launcher, **settings)
    watch_ranks(settings.get('timeout'))


def build_runner(config: Config, kind: type[SafeRunner] = SafeRunner) -> SafeRunner:
    """The runner of a config.

    Its model is in channels-last layout where there is no GPU, unless it has operators of mmcv:
    those read every input as if it were contiguous, on CPUs and on GPUs (RoIAlign of a
    channels-last map is silently wrong). ``channels_last = False`` (or True) in a config decides.

    What the config leaves to its data is filled in (:func:`~.data_settings.fill_in_from_data`), and
    labels are compared with the head before training (:class:`LabelRangeHook`). A training resumes
    only on the data it began with (:class:`SameDataHook`), and ends where its weights are not
    finite any more (:class:`FiniteWeightsHook`). A quiet terminal shows its progress
    (:class:`ProgressHook`).

    Args:
        config: The config.
        kind: The class of the runner.

    Raises:
        InputError: A setting does not fit (:func:`~.settings_check.check_settings`), a neck or head
            does not take the backbone's channels, channels-last is asked for with operators of
            mmcv, or what :func:`~.data_settings.fill_in_from_data` raises.
    """
    check_settings(config)
    check_phases(config)
    init_ranks(config)
    check_load_from(config)
    fill_in_from_data(config)
    runner = kind.from_cfg(config)
    runner.register_hook(LabelRangeHook())
    runner.register_hook(FiniteWeightsHook())
    runner.register_hook(SameDataHook())
    runner.register_hook(ProgressHook())
    check_channels(runner.model)
    use_fast_layout(runner.model, config.get('channels_last'))
    return runner


def use_fast_layout(model: nn.Module, channels_last: bool | None = None) -> None:
    """Puts a model into the layout that is fast here, see :func:`build_runner`.

    Args:
        model: The model, changed in place.
        channels_last: What a config says; None decides by the machine and the model.

    Raises:
        InputError: Channels-last is asked for with operators of mmcv.
    """
    on_gpu = torch.cuda.is_available()
    operators = sorted(
        {
            type(module).__name__
            for module in model.modules()
            # Or of a class made from one, as mm's packages have them.
            if any(cls.__module__.startswith('mmcv.ops') for cls in type(module).__mro__)
        }
    )
    if (not on_gpu and not operators) if channels_last is None else channels_last:
        if operators:
            raise InputError(
                f"channels_last=True: mmcv's {', '.join(operators)} would read such inputs as "
                f'contiguous ones; leave it out'
            )
        # Depthwise and grouped convolutions are 1.3 to 2.2 times as fast this way
        # (docs/results/cpu.md); outputs follow the weights' layout.
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


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
