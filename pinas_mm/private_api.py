"""Private API of mmengine and torch for which there is no public one, a function for each use.

``tests/test_private_api.py`` runs each function against the installed versions. Two methods are
private and overridden: ``Runner._init_model_weights`` (engine/runner.py) and
``nn.Conv2d._conv_forward`` (models/strided_pointwise_conv.py)."""

import operator
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import mmengine.hooks.checkpoint_hook
import mmengine.runner.runner
import torch
import torch._meta_registrations
import torch._weights_only_unpickler
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

# mmengine.


def run_forward(model: BaseModel, data: dict | tuple | list, mode: str) -> Any:
    """A model's forward pass on a batch as its data preprocessor returns it, whose parts are the
    arguments of ``forward``."""
    return model._run_forward(data, mode=mode)


def set_inner_count(optim_wrapper: OptimWrapper, count: int) -> None:
    """Sets the iterations that an optimiser wrapper has counted. It takes each backward pass for
    one."""
    optim_wrapper._inner_count = count


def set_progress(loop: BaseLoop, epoch: int, iteration: int) -> None:
    """Puts a training loop that has not run yet to an epoch and an iteration."""
    loop._epoch, loop._iter = epoch, iteration


def base_files(path: str) -> list[str]:
    """The files that a config file names in its ``_base_``, none for a pure-Python config."""
    if Config._is_lazy_import(path):
        return []
    return [Config._get_cfg_path(base, path)[0] for base in Config._get_base_files(path)]


def validation_is_due(runner: Runner) -> bool:
    """Whether a training validates where it stands, between two epochs or iterations."""
    loop = runner.train_loop
    if not isinstance(loop, EpochBasedTrainLoop | IterBasedTrainLoop):
        return False
    loop._decide_current_val_interval()
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    done, end = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
    return 0 < done >= loop.val_begin and (done % loop.val_interval == 0 or done == end)


def loader_configs(runner: Runner) -> list[dict[str, Any]]:
    """The configs from which a runner builds the loaders of its training and its test when it first
    needs them."""
    return [runner._train_dataloader, runner._test_dataloader]


def fresh_element(element: BaseDataElement) -> BaseDataElement:
    """A copy of a data element that can be given other fields; the values, such as tensors, are
    shared, and elements within are copied too. (``BaseDataElement.clone`` copies every tensor.)"""
    copy = element.__class__.__new__(element.__class__)
    # A data element is its attributes, and two sets of their names.
    for key, value in element.__dict__.items():
        if isinstance(value, BaseDataElement):
            value = fresh_element(value)
        copy.__dict__[key] = set(value) if isinstance(value, set) else value
    return copy


@contextmanager
def trainings_write_with(
    save_checkpoint: Callable[..., None], open_text: Callable[[str, str], Any]
) -> Iterator[None]:
    """Within it mmengine's trainings write every checkpoint with ``save_checkpoint``, in place of
    the function of that name, and ``last_checkpoint`` with ``open_text``, in place of ``open``."""
    with (
        mock.patch.object(mmengine.runner.runner, 'save_checkpoint', save_checkpoint),
        # Of published checkpoints.
        mock.patch.object(mmengine.runner, 'save_checkpoint', save_checkpoint),
        mock.patch.object(mmengine.hooks.checkpoint_hook, 'open', open_text, create=True),
    ):
        yield


def resumes_latest(runner: Runner) -> bool:
    """Whether a runner that has loaded nothing yet resumes from the latest checkpoint in its work
    dir."""
    return runner._resume and runner._load_from is None and not runner._has_loaded


@contextmanager
def already_read(checkpoint: dict[str, Any]) -> Iterator[None]:
    """Within it a runner that loads a checkpoint gets this one, and opens no file."""
    with mock.patch.object(mmengine.runner.runner, '_load_checkpoint', lambda *_, **__: checkpoint):
        yield


# torch.


def allow_globals(chosen: Callable[[], Mapping[str, Callable] | None]) -> None:
    """From now on, names in a file that ``torch.load(weights_only=True)`` reads stand for the
    functions and classes that ``chosen`` returns, beside torch's own. Where it returns None they
    stand for what other code has called safe, as before."""
    unpickler = torch._weights_only_unpickler
    before = unpickler._get_user_allowed_globals

    def allowed() -> Mapping[str, Callable]:
        found = chosen()
        return before() if found is None else found

    unpickler._get_user_allowed_globals = allowed


def computes_in_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16. torch computes with it on any, slowly
    where they are missing."""
    if platform.machine() in ('aarch64', 'arm64'):
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def lerp_each(tensors: list[Tensor], ends: list[Tensor], weight: float) -> None:
    """:meth:`torch.Tensor.lerp_` of many tensors in few kernels."""
    torch._foreach_lerp_(tensors, ends, weight)


def module_versions(state_dict: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The versions of the modules of a state dict, by module name; changes are kept."""
    return state_dict._metadata  # type: ignore[attr-defined]  # torch sets it on its dicts


def version_of(tensor: Tensor) -> int:
    """A number that grows whenever a tensor is changed in place."""
    return tensor._version


def set_buffers(module: nn.Module, buffers: Mapping[str, Tensor]) -> None:
    """Gives a module other buffers without copying: the tensors themselves take their places."""
    module._buffers.update(buffers)


def set_tensors(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> None:
    """Gives a convolution other tensors, which need not be parameters, for a while."""
    tensors: dict[str, Any] = dict(weight=weight, bias=bias)
    conv._parameters.update(tensors)


def replace_forward(module: nn.Module, forward: Callable[[Tensor], Tensor]) -> None:
    """Lets one module compute something else, until :func:`restore_forward`."""
    module.__dict__['forward'] = forward


def restore_forward(module: nn.Module) -> None:
    """The module computes what its class says again."""
    module.__dict__.pop('forward', None)


@contextmanager
def pooling_for_any_size() -> Iterator[None]:
    """Lets pooling with a stride be traced for even and odd sizes alike.

    PyTorch divides sizes with a case for a remainder of another sign than the divisor's, which a
    traced size would be fixed by; there is no such remainder in Python, whose ``//`` is what it
    computes. ``create`` for versions without that function."""
    with mock.patch.object(torch._meta_registrations, 'div_rtn', operator.floordiv, create=True):
        yield
