"""Checkpoints without code execution: every one is opened with
``torch.load(weights_only=True)``."""

import io
import os
import re
import traceback
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.error import URLError
from urllib.parse import urlsplit

import torch
from mmengine.fileio import get_local_path
from torch import Tensor, nn

from .errors import InputError
from .fileio import write_atomic
from .pickled_data import REFUSED, STAND_INS
from .private_api import allow_globals
from .unwrap import unwrapped

NOT_LOADABLE = 'not loadable as a checkpoint of plain tensors'
# The beginning of a file's SHA-256 at the end of its name.
HASH_IN_NAME = re.compile(r'-([0-9a-f]{8,64})\.\w+$')
# torch reads them at every load; they beat the caller's weights_only. The tools set the first.
FORCED, FORCED_OFF = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
# Under it the stand-ins alone count: mmengine calls getattr and NumPy's own functions safe while it
# loads pretrained weights, which is as good as running a file's code.
allow_globals(lambda: STAND_INS if os.environ.get(FORCED) == '1' else None)
if os.environ.get(FORCED) == '1':
    torch.sparse.check_sparse_tensor_invariants.enable()


def load_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a checkpoint (a local path or any URI mmengine reads) onto the CPU.

    What is at a URL whose name ends in the beginning of its SHA-256, as mm's published weights do,
    is downloaded once, to the folder of torch's downloads, which mm's packages have too. Of any
    other URL the file may change, so it is fetched at every load.

    Returns:
        The checkpoint's dict; a bare state dict, or one under ``model`` as detectron2 saves it,
        comes back under ``state_dict``.

    Raises:
        InputError: Missing, damaged, not a checkpoint, or holding objects that could run code; or
            it cannot be downloaded.
    """
    try:
        with _local_path(os.fspath(path)) as local, pickled_data():
            checkpoint = torch.load(local, map_location='cpu', weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f'{path}: no such checkpoint') from error
    except (URLError, TimeoutError, ConnectionError) as error:
        raise InputError(
            f'{path}: cannot be downloaded ({error}): fetch it on another machine, and name that '
            f'file in its place'
        ) from error
    except Exception as error:  # torch raises a dozen kinds for damaged or unsafe files
        raise InputError(f'{path}: {NOT_LOADABLE}: {refusal(error)}') from error
    if not isinstance(checkpoint, dict):
        raise InputError(f'{path}: holds a {type(checkpoint).__name__}, expected a dict of tensors')
    if 'state_dict' not in checkpoint:
        checkpoint = {
            'state_dict': checkpoint['model']
            if isinstance(checkpoint.get('model'), dict)
            else checkpoint
        }
    state = checkpoint['state_dict']
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise InputError(f'{path}: its state_dict is not a dict of tensors')
    for key, value in state.items():
        if not is_ordinary(value):
            raise InputError(
                f'{path}: {key:.100} is sparse, nested, quantised or without values; expected an '
                f'ordinary tensor'
            )
    return checkpoint


def _local_path(path: str) -> AbstractContextManager[str]:
    """Where a checkpoint lies on this machine; fetched, where it is at a URL."""
    name = Path(urlsplit(path).path).name
    expected = HASH_IN_NAME.search(name)
    if not path.startswith(('http://', 'https://')) or not expected:
        return get_local_path(path)
    local = Path(torch.hub.get_dir(), 'checkpoints', name)
    if not local.is_file():
        local.parent.mkdir(parents=True, exist_ok=True)
        try:
            # It appears there when it is complete.
            torch.hub.download_url_to_file(path, str(local), expected[1], progress=False)
        except RuntimeError:  # what ends its name is something else
            return get_local_path(path)
    return nullcontext(str(local))


def is_ordinary(tensor: Tensor) -> bool:
    """Whether a tensor has all its values in memory as they are. Others have few operations."""
    return tensor.layout == torch.strided and not (
        tensor.is_nested or tensor.is_quantized or tensor.is_meta
    )


def loading_error(error: BaseException) -> str | None:
    """One line for a file that ``torch.load`` refused or could not read, whoever called it; None
    for any other error."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is torch.load.__code__:
            file = frame.f_locals['f']
            name = file if isinstance(file, (str, os.PathLike)) else 'a checkpoint'
            return f'{os.fspath(name)}: {NOT_LOADABLE}: {refusal(error)}'
    # Older versions of mmengine raise what a constructor raised again, with more text.
    return loading_error(error.__context__) if error.__context__ is not None else None


def refusal(error: BaseException) -> str:
    """Why ``torch.load`` refused a file. Its own message goes on to say how safety is switched
    off."""
    text = str(error)
    if REFUSED in text:
        return REFUSED + text.partition(REFUSED)[2].splitlines()[0]
    if found := re.search(r'GLOBAL (\S+) was not an allowed global', text):
        return f'it names {found[1]}, which could run code'
    if found := re.search(r'module (\S+) is blocked', text):
        return f'it names the module {found[1]}, which could run code'
    if found := re.search(r'WeightsUnpickler error: (.*)', text):
        reason = found[1].strip()
        return 'not a PyTorch file' if not reason or 'Please file an issue' in reason else reason
    if isinstance(error, EOFError):
        return 'it ends too early'
    return next(filter(str.strip, text.splitlines()), type(error).__name__)


@contextmanager
def only_plain_tensors() -> Iterator[None]:
    """Within it no ``torch.load`` of this process runs code, whatever its caller asks for (mmengine
    falls back to unsafe loading).

    Raises:
        InputError: A checkpoint is damaged, or holds objects that could run code.
    """
    try:
        with pickled_data():
            yield
    except (InputError, FileNotFoundError):  # they say what is wrong
        raise
    except Exception as error:
        message = loading_error(error)
        if message is None:
            raise
        raise InputError(message) from error


@contextmanager
def pickled_data() -> Iterator[None]:
    """Within it every ``torch.load`` of this process reads tensors and what mmengine saves beside
    them, and nothing else."""
    before = {name: os.environ.pop(name, None) for name in (FORCED, FORCED_OFF)}
    os.environ[FORCED] = '1'
    try:
        # Unchecked, the indices of a sparse tensor may point anywhere.
        with torch.sparse.check_sparse_tensor_invariants():
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def save_checkpoint(
    path: str | os.PathLike, state_dict: dict[str, torch.Tensor], meta: dict[str, Any]
) -> None:
    """Writes ``{'meta': ..., 'state_dict': ...}``, see :func:`write_checkpoint`."""
    state = OrderedDict((key, value.detach().cpu().clone()) for key, value in state_dict.items())
    write_checkpoint(path, {'meta': meta, 'state_dict': state})


def write_checkpoint(path: str | os.PathLike, checkpoint: dict[str, Any]) -> None:
    """Writes a checkpoint as a whole (:func:`~pinas_mm.fileio.write_atomic`)."""
    # In memory first: where a write to its file fails, torch raises an error of its own or aborts
    # the process.
    data = io.BytesIO()
    torch.save(checkpoint, data)
    write_atomic(path, lambda file: file.write(data.getbuffer()))


def require_shared_tensor(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Whether a state dict has any tensor of a model, by name and shape.

    Args:
        model: The model.
        state: The state dict.
        source: Where it is from, for the message.

    Raises:
        InputError: It has none; the message has a name of each.
    """
    own = {key: value.shape for key, value in model.state_dict().items()}
    shared = (
        key for key, value in state.items() if own.get(key.removeprefix('module.')) == value.shape
    )
    if own and next(shared, None) is None:
        raise InputError(
            f'{source}: no tensor of it is of this {type(model).__name__}: it has '
            f'{next(iter(state), "none")}, the model {next(iter(own))}: expected a checkpoint of '
            'this model'
        )


def load_strict(module: nn.Module, path: str | os.PathLike, prefix: str = '') -> None:
    """Loads into ``module`` every tensor it has; what the checkpoint has beyond that is left. BN's
    counts of batches may be missing, as in checkpoints from Caffe.

    So a subnet inherits from a supernet's checkpoint without a converter.

    Args:
        module: The module to fill.
        path: Checkpoint path or URI.
        prefix: Prefix of the module's keys in the checkpoint, such as ``'backbone.'``.

    Raises:
        InputError: A key is missing, has another shape or another kind of numbers; the message
            lists them, and where keys are missing those that are there instead. Or a tensor is not
            finite, as after a training that diverged; the message names the first. Or the tensors
            that the module does not take are of another network (:class:`ChecksLeft`).
    """
    load_state(module, load_checkpoint(path)['state_dict'], path, prefix)


@runtime_checkable
class TakesSlices(Protocol):
    """A module that may take its tensors out of larger ones of a checkpoint."""

    def slices_of(self, state: Mapping[str, Tensor], prefix: str, source: str) -> dict[str, Tensor]:
        """What it takes in place of tensors of a checkpoint, under their names in it.

        Args:
            state: The checkpoint's tensors.
            prefix: Prefix of the module's names in it.
            source: Where they are from, for the message.

        Raises:
            InputError: Of a tensor that is no larger one of its own.
        """


@runtime_checkable
class ChecksLeft(Protocol):
    """A module that tells by what a checkpoint has beyond it whether it is of another network,
    though every tensor of the module is there."""

    def check_left(self, left: set[str], path: str | os.PathLike) -> None:
        """Looks at what a checkpoint has beyond this module.

        Args:
            left: Its names, without the prefix.
            path: The checkpoint, for the message.

        Raises:
            InputError: It is of another network.
        """


def load_state(
    module: nn.Module, found: dict[str, Tensor], path: str | os.PathLike, prefix: str = ''
) -> None:
    """:func:`load_strict` of a state dict that is already read. ``path`` is for messages."""
    module = unwrapped(module)
    prefix = f'{prefix}.' if prefix and not prefix.endswith('.') else prefix
    for name, part in module.named_modules():
        if isinstance(part, TakesSlices):
            below = f'{prefix}{name}.' if name else prefix
            found = found | part.slices_of(found, below, str(path))
    wanted = module.state_dict()
    # As torch does for a checkpoint without any, such as one from Caffe: no output depends on them.
    counts = {f'{prefix}{key}': wanted[key] for key in wanted if counts_batches(key)}
    given, found = found, counts | found
    missing = [f'{prefix}{key}' for key in wanted if f'{prefix}{key}' not in found]
    shapes = [
        f'{prefix}{key} {tuple(found[f"{prefix}{key}"].shape)} instead of {tuple(value.shape)}'
        for key, value in wanted.items()
        if f'{prefix}{key}' in found and found[f'{prefix}{key}'].shape != value.shape
    ]
    types = [
        f'{prefix}{key} {found[f"{prefix}{key}"].dtype} instead of {value.dtype}'
        for key, value in wanted.items()
        if f'{prefix}{key}' in found
        and _number_kind(found[f'{prefix}{key}']) != _number_kind(value)
    ]
    left = [
        key for key in given if key.startswith(prefix) and key.removeprefix(prefix) not in wanted
    ]
    if missing or shapes or types:
        # All names where none is below the prefix, which may be the mistake.
        there = left if any(key.startswith(prefix) for key in given) else [*given]
        # Another arch's weights stand under the names of other candidates.
        raise InputError(
            f'{path}: does not fit this {type(module).__name__}'
            + _listing('; missing: ', missing)
            + _listing('; there instead: ', there if missing else [])
            + _listing('; wrong shape: ', shapes)
            + _listing('; wrong type: ', types)
        )
    for name, part in module.named_modules():
        if isinstance(part, ChecksLeft):
            below = f'{prefix}{name}.' if name else prefix
            part.check_left(
                {key.removeprefix(below) for key in left if key.startswith(below)}, path
            )
    finite = finite_tensors(module)
    check_finite(path, found, [f'{prefix}{key}' for key in wanted if key in finite])
    module.load_state_dict({key: found[f'{prefix}{key}'] for key in wanted})


def counts_batches(name: str) -> bool:
    """Whether a tensor is how many batches a BN layer has seen, by its name in a state dict."""
    return name.endswith('.num_batches_tracked')


def finite_tensors(module: nn.Module) -> set[str]:
    """The names of a module's tensors that are finite. A module may keep an infinity on purpose,
    such as the least value seen so far: it is made with one."""
    return {
        key
        for key, value in module.state_dict().items()
        if isinstance(value, Tensor) and not _num_not_finite(value)
    }


def check_finite(
    path: str | os.PathLike, state_dict: Mapping[str, Tensor], names: Iterable[str]
) -> None:
    """Whether what a file gives a model is finite.

    Args:
        path: The file, for the message.
        state_dict: Tensors that are loaded, or were.
        names: Which of them to look at, in that order: those that :func:`finite_tensors` names of
            the model before. The others and those that are missing are left out.

    Raises:
        InputError: One is not; the message names the first.
    """
    for key in names:
        tensor = state_dict.get(key)
        if tensor is not None and (wrong := _num_not_finite(tensor)):
            raise InputError(
                f'{path}: {wrong} of {tensor.numel()} values of {key} are NaN or infinite: its '
                f'training diverged; expected an earlier checkpoint, or one of a training at a '
                f'lower learning rate'
            )


def _num_not_finite(tensor: Tensor) -> int:
    # isfinite knows no numbers of 8 bits.
    comparable = tensor.float() if tensor.dtype.itemsize == 1 else tensor
    return int((~comparable.isfinite()).sum())


def _number_kind(tensor: Tensor) -> tuple[bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex()


def checksum(state_dict: Mapping[str, torch.Tensor]) -> int:
    """A checksum of all tensors: equal weights have the same."""
    result = 0
    for tensor in state_dict.values():
        # As bytes: NumPy has no bfloat16.
        bytes_of = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        result = zlib.crc32(bytes_of.numpy().tobytes(), result)
    return result


def _listing(title: str, keys: list[str], most: int = 8) -> str:
    if not keys:
        return ''
    return (
        title
        + ', '.join(keys[:most])
        + (f' and {len(keys) - most} more' if len(keys) > most else '')
    )
