"""Latency of archs on the user's own device, from a table of measured parts."""
import itertools
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.model import is_model_wrapper
from scipy.stats import spearmanr, theilslopes
from torch import Tensor, nn

from ..errors import InputError
from ..fileio import write_atomic
from ..models.backbones import SearchableBackbone
from ..spaces import Arch
from .bn_recalibration import autocast
from .cost import blank_samples

FIT_SUBNETS = 12


@dataclass(frozen=True)
class Latency:
    """Measured latencies in ms: an arch takes ``fixed`` plus the entry of each of its positions.

    Args:
        space, widen_factor: What was measured.
        setting: Device, threads, dtype, batch size, input size and torch version.
        fixed: What every arch pays.
        tables: One nested list per position, indexed by the candidates of the slots it reads.
        check: Predicted against measured on whole subnets that the table was not made from.
    """
    space: str
    widen_factor: float
    setting: dict[str, Any]
    fixed: float
    tables: list[Any]
    check: dict[str, Any]

    def write(self, path: str | os.PathLike) -> None:
        """Writes the table as JSON."""
        text = json.dumps(asdict(self), indent=1)
        write_atomic(path, lambda file: file.write(text.encode()))

    def arrays(self) -> list[np.ndarray]:
        return [np.array(table, float) for table in self.tables]


def read_latency(path: str | os.PathLike, backbone: SearchableBackbone) -> Latency:
    """Reads a table for the space of ``backbone``.

    Raises:
        InputError: It cannot be read, or is one of another space or width.
    """
    try:
        latency = Latency(**json.loads(Path(path).read_bytes()))
        shapes = [table.shape for table in latency.arrays()]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f'{path}: not a latency table: {error}') from error
    space = backbone.space
    if (latency.space, latency.widen_factor) != (space.name, backbone.widen_factor):
        raise InputError(f'{path}: latencies of {latency.space!r} at widen_factor={latency.widen_factor}, '
                         f'expected {space.name!r} at {backbone.widen_factor}')
    expected = [tuple(space.num_candidates[slot] for slot in position.slots) for position in space.positions]
    if shapes != expected:
        raise InputError(f'{path}: its tables have shapes {shapes}, expected {expected}')
    return latency


def measure_latency(model: nn.Module, images: Tensor, dtype: torch.dtype = torch.float32, rounds: int = 15, num_check: int = 20,
                    seed: int = 0, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Latency:
    """Measures every (position, candidates read) on the device of ``images``, and checks the sum on whole subnets.

    Each entry is timed once per round, so that a busy moment of the machine does not fall on one of them, and the median over the
    rounds is taken. Parts timed alone find their data in the caches more often than within a network, so the sum is fitted (a factor and
    a constant) to some whole subnets; the check uses others.

    Args:
        model: A supernet, or an mm model with one as ``backbone``.
        images: A batch ``(N, 3, H, W)``, of the size to be served.
        dtype: ``torch.float32``, or another one to autocast to.
        rounds: Timings per entry.
        num_check: Whole subnets for the check.
        seed: Seed of the subnets.
        on_progress: Called as ``on_progress(done, total)`` after every timing.

    Raises:
        InputError: The model has no supernet.
        RuntimeError: The measurements contradict each other.
    """
    model = model.module if is_model_wrapper(model) else model
    backbone = model if isinstance(model, SearchableBackbone) else getattr(model, 'backbone', None)
    if not isinstance(backbone, SearchableBackbone) or not backbone.is_supernet:
        raise InputError(f'{type(model).__name__} has no supernet to measure')
    space, rng = backbone.space, np.random.default_rng(seed)
    subnets = [space.sample(rng) for _ in range(FIT_SUBNETS + num_check)]
    whole = model if model is backbone else partial(model, data_samples=blank_samples(images), mode='tensor')

    def run_whole(arch: Arch) -> None:
        backbone.set_arch(arch)
        whole(images)

    runs: dict[Any, Callable[[], Any]] = {('whole', arch): partial(run_whole, arch) for arch in subnets}
    active, modes = backbone._arch, [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), autocast(model, None if dtype is torch.float32 else dtype):
            x = backbone.stem(images)
            for index, position in enumerate(space.positions):
                for choices in itertools.product(*(range(space.num_candidates[slot]) for slot in position.slots)):
                    arch = [0] * space.num_slots
                    for slot, choice in zip(position.slots, choices):
                        arch[slot] = choice
                    runs[index, choices] = partial(backbone.run, index, tuple(arch), x)
                x = backbone.run(index, (0, ) * space.num_slots, x)
            times = _interleaved(runs, rounds, images.device, on_progress)
    finally:
        backbone._arch = active
        for module, training in modes:
            module.training = training
    tables = [np.zeros([space.num_candidates[slot] for slot in position.slots]) for position in space.positions]
    for index, table in enumerate(tables):
        for choices in np.ndindex(table.shape):
            table[choices] = times[index, choices]
    sums = np.array([sum(table[tuple(arch[slot] for slot in position.slots)] for position, table in zip(space.positions, tables))
                     for arch in subnets])
    measured = np.array([times['whole', arch] for arch in subnets])
    # Theil and Sen's fit by medians: a few timings of a busy moment do not bend it.
    factor, constant, *_ = theilslopes(measured[:FIT_SUBNETS], sums[:FIT_SUBNETS])
    if factor <= 0:
        raise RuntimeError(f'whole subnets took the less time the longer their parts took (factor {factor:.2f}): the machine is too busy, '
                           'or rounds too few')
    predicted = factor * sums + constant
    setting = dict(
        device=_device_name(images.device), threads=torch.get_num_threads(), dtype=str(dtype).removeprefix('torch.'),
        images=list(images.shape), channels_last=images.is_contiguous(memory_format=torch.channels_last), torch=torch.__version__,
        rounds=rounds, seed=seed)
    return Latency(space.name, backbone.widen_factor, setting, float(constant), [(factor * table).tolist() for table in tables],
                   _check(subnets[FIT_SUBNETS:], predicted[FIT_SUBNETS:], measured[FIT_SUBNETS:]))


def _check(archs: Sequence[Arch], predicted: np.ndarray, measured: np.ndarray) -> dict[str, Any]:
    error = np.abs(predicted / measured - 1)
    return dict(
        median_error=float(np.median(error)), largest_error=float(error.max()), rank_correlation=float(spearmanr(predicted, measured)[0]),
        subnets=[dict(arch=list(arch), predicted=float(p), measured=float(m)) for arch, p, m in zip(archs, predicted, measured)])


def _interleaved(runs: dict[Any, Callable[[], Any]], rounds: int, device: torch.device,
                 on_progress: Callable[[int, int], None]) -> dict[Any, float]:
    """The median time of each run in ms over so many rounds, after one round of warm-up."""
    # Here, since it looks for a CUDA compiler when it is imported, and warns where there is none.
    from torch.utils.benchmark import Timer

    # Timer synchronises a GPU and by default sets one thread.
    timers = {key: Timer('run()', globals=dict(run=run), num_threads=torch.get_num_threads()) for key, run in runs.items()}
    times: dict[Any, list[float]] = {key: [] for key in runs}
    repeats = {}
    for number in range(rounds + 1):
        for done, (key, timer) in enumerate(timers.items(), start=1):
            # A timing of at least about 2 ms, so that the clock and Python's own time do not matter.
            if key not in repeats:
                repeats[key] = max(1, int(0.002 / max(timer.timeit(1).mean, 1e-6)))
            took = timer.timeit(repeats[key]).mean
            if number:
                times[key].append(1000 * took)
            on_progress(number * len(timers) + done, (rounds + 1) * len(timers))
    return {key: float(np.median(values)) for key, values in times.items()}


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == 'cuda' else f'{device.type} ({platform.machine()})'
