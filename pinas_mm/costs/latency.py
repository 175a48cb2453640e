"""Latency of archs on the user's own device, from a table of measured parts."""

import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import QuantileRegressor
from torch import Tensor, nn
from typing_extensions import TypedDict

from ..errors import InputError
from ..fileio import read_json, write_atomic
from ..models.backbones import ArchBackbone, borrowed, supernet_of
from ..schema import Measured, NotNegative, Number, WholeNumber, check, shown
from ..scoring.bn_recalibration import autocast
from ..settings import plain_settings
from ..spaces import Arch, SearchSpace
from ..spaces.subnet_file import Width
from ..unwrap import unwrapped
from .measure import blank_samples
from .table import Array, CostTable

# What a table may be wrong by on the subnets of its check before a search by it is misled. Six
# tables of an idle machine (docs/results/searching.md) were off by 1.5 to 9.8 % and ranked at 0.87
# to 0.99.
MOST_ERROR, LEAST_CORRELATION = 0.2, 0.8


class MeasuredSubnet(TypedDict):
    """A whole subnet; latencies in ms."""

    arch: list[WholeNumber]
    predicted: Number
    measured: NotNegative


class Check(TypedDict, total=False):
    """Predicted against measured; the correlation is not a number where all predictions are
    equal."""

    median_error: Measured
    largest_error: Measured
    rank_correlation: Measured
    subnets: list[MeasuredSubnet]


@dataclass(frozen=True)
class Latency:
    """Measured latencies in ms: an arch takes ``fixed`` plus its entry of every table.

    Args:
        space, widen_factor: What was measured.
        setting: Device, threads, dtype, batch size, input size and torch version.
        fixed: What every arch pays.
        tables: One nested list per term of ``space.cost_terms`` (a position, or a slot of a
            parallel one), indexed by the candidates of the slots it depends on.
        check: Predicted against measured on whole subnets that the table was not made from.
    """

    space: str
    widen_factor: Width
    setting: dict[str, Any]
    fixed: NotNegative
    tables: list[Any]
    check: Check

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the table as JSON."""
        text = json.dumps(plain_settings(asdict(self)), indent=1)
        write_atomic(path, lambda file: file.write(text.encode()))

    def doubt(self) -> str | None:
        """Why a search had better not go by this table, and what to do; None where it is sound."""
        error = self.check.get('median_error', float('nan'))
        correlation = self.check.get('rank_correlation', float('nan'))
        if error <= MOST_ERROR and correlation >= LEAST_CORRELATION:  # of nan neither holds
            return None
        return (
            f'on whole subnets this table has a median error of {error:.0%} and a rank correlation '
            f'of {correlation:.2f}; expected at most {MOST_ERROR:.0%} and at least '
            f'{LEAST_CORRELATION:g}: it does not tell which archs are fast. Measure again on an '
            f'idle machine, with more --rounds, a larger batch of --images and an allocator that '
            f'keeps its memory (docs/results/searching.md)'
        )

    @property
    def bias(self) -> float:
        """By which share whole subnets take longer than the table says, the median over the check;
        below 0 where they take less."""
        subnets = self.check.get('subnets', [])
        ratios = [subnet['measured'] / subnet['predicted'] for subnet in subnets]
        return float(np.median(ratios)) - 1 if ratios else float('nan')

    def add_to(self, costs: CostTable) -> None:
        """Adds the latencies to the costs of the space."""
        costs.add('latency', self.fixed, [np.array(table, float) for table in self.tables])


def read_latency(path: str | os.PathLike[str], backbone: ArchBackbone) -> Latency:
    """Reads a table for the space of ``backbone``.

    Raises:
        InputError: It cannot be read, is one of another space or width, or has latencies that no
            arch has.
    """
    latency = check(Latency, read_json(path), str(path))
    space = backbone.space
    if (latency.space, latency.widen_factor) != (space.name, backbone.widen_factor):
        raise InputError(
            f'{path}: latencies of {shown(latency.space)} at widen_factor={latency.widen_factor}, '
            f'expected {space.name!r} at {backbone.widen_factor}'
        )
    terms = space.cost_terms
    if len(latency.tables) != len(terms):
        raise InputError(f'{path}: has {len(latency.tables)} tables, expected {len(terms)}')
    least = latency.fixed
    for number, ((index, slots), table) in enumerate(zip(terms, latency.tables)):
        # The entries of a slot that runs beside others are differences to its first candidate.
        entry: Any = Number if space.positions[index].parallel else NotNegative
        kind = reduce(lambda kind, _: list[kind], slots, entry)  # type: ignore[valid-type]
        check(kind, table, str(path), f'tables.{number}')
        shape, expected = _shape(table), tuple(space.num_candidates[slot] for slot in slots)
        if shape != expected:
            raise InputError(f'{path}: tables.{number} has shape {shape}, expected {expected}')
        least += float(np.min(table))
    if not 0 < least < np.inf:
        raise InputError(
            f'{path}: the fastest arch would take {least:g} ms, expected a finite number above 0'
        )
    return latency


def _shape(table: Any) -> tuple[int, ...]:
    """The lengths of lists within lists; none where they differ."""
    try:
        return np.array(table, float).shape
    except ValueError:
        return ()


def measure_latency(
    model: nn.Module,
    images: Tensor,
    dtype: torch.dtype = torch.float32,
    rounds: int = 31,
    num_check: int = 20,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Latency:
    """Measures every (position, candidates read) on the device of ``images``, and checks the sum on
    whole subnets.

    Each round runs random archs that together have every entry, and times the parts of these runs;
    medians over the rounds are taken, so that a busy moment of the machine does not fall on one
    entry. The slots of a parallel position, which run as one part, are told apart by a median
    regression. A part run by itself again and again takes another time than within a network, where
    its data come from other caches and its memory from another state of the allocator
    (docs/results/searching.md). The subnets of the check are timed as wholes, by
    ``torch.utils.benchmark``, in the same rounds.

    Args:
        model: A supernet, or an mm model with one as ``backbone``.
        images: A batch ``(N, C, H, W)``, of the size to be served.
        dtype: ``torch.float32``, or another one to autocast to.
        rounds: Timings per entry. With parallel positions no fewer than the default on a busy
            machine: a round has no more archs than a slot has candidates, and a regression has all
            the slots' entries to find in them.
        num_check: Whole subnets for the check.
        seed: Seed of the archs.
        on_progress: Called as ``on_progress(done, total)`` after every round.

    Raises:
        InputError: The model has no searchable backbone, it is a subnet, or the images have other
            channels than it reads.
    """
    # Here, since it looks for a CUDA compiler when it is imported, and warns where there is none.
    from torch.utils.benchmark import Timer

    model, backbone = unwrapped(model), supernet_of(model)
    if images.shape[1] != backbone.in_channels:
        raise InputError(
            f'images of shape {tuple(images.shape)}: model.backbone reads '
            f'in_channels={backbone.in_channels}: expected '
            f'{len(images), backbone.in_channels, *images.shape[2:]}'
        )
    space, rng = backbone.space, np.random.default_rng(seed)
    whole = (
        model
        if model is backbone
        else partial(model, data_samples=blank_samples(images), mode='tensor')
    )
    runs: list[tuple[Arch, list[float]]] = []
    laps: list[tuple[int, Any, Any]] = []
    subnets: dict[Arch, list[float]] = {space.sample(rng): [] for _ in range(num_check)}
    stopwatch = Stopwatch(images.device)

    def run_timed(part: int, arch: Arch, x: Tensor) -> Tensor:
        before = stopwatch.mark()
        x = backbone.run_part(part, arch, x)
        laps.append((part - 1, before, stopwatch.mark()))
        return x

    def run_in_parts(arch: Arch) -> tuple[Arch, list[float]]:
        """The arch, and what each of its positions took in ms, and at last all else."""
        laps.clear()
        backbone.set_arch(arch)
        backbone.part_runner = run_timed
        start = stopwatch.mark()
        whole(images)
        total = stopwatch.milliseconds(start, stopwatch.mark())
        backbone.part_runner = None
        took = [
            stopwatch.milliseconds(before, after)
            for index, before, after in laps
            if 0 <= index < len(space.positions)
        ]
        return arch, [*took, total - sum(took)]

    def run_whole(arch: Arch) -> float:
        backbone.set_arch(arch)
        return (
            1000
            * Timer(
                'run(images)',
                globals=dict(run=whole, images=images),
                num_threads=torch.get_num_threads(),
            )
            .timeit(1)
            .mean
        )

    half = None if dtype is torch.float32 else dtype
    with borrowed(model), backbone.runs_as_subnets(), torch.no_grad(), autocast(model, half):
        model.eval()
        for number in range(rounds + 1):
            found = [run_in_parts(arch) for arch in covering_archs(space, rng)]
            wholes = [(arch, run_whole(arch)) for arch in subnets]
            if number:  # the first round warms up
                runs += found
                for arch, took in wholes:
                    subnets[arch].append(took)
            on_progress(number + 1, rounds + 1)
    archs, parts = (np.array(column) for column in zip(*runs))
    fixed = float(np.median(parts[:, -1]))
    tables = [
        table
        for index in range(len(space.positions))
        for table in _median_tables(space, index, archs, parts[:, index])
    ]
    predicted = CostTable(space, dict(latency=fixed), dict(latency=tables)).array(
        'latency', list(subnets)
    )
    setting = dict(
        device=_device_name(images.device),
        threads=torch.get_num_threads(),
        dtype=str(dtype).removeprefix('torch.'),
        images=list(images.shape),
        channels_last=images.is_contiguous(memory_format=torch.channels_last),
        torch=torch.__version__,
        rounds=rounds,
        seed=seed,
    )
    checked = _check(
        list(subnets), predicted, np.array([np.median(values) for values in subnets.values()])
    )
    return Latency(
        space.name,
        backbone.widen_factor,
        setting,
        fixed,
        [table.tolist() for table in tables],
        checked,
    )


def covering_archs(space: SearchSpace, rng: np.random.Generator) -> Iterator[Arch]:
    """Random archs that together have every combination of candidates that any term of the costs
    depends on; in a chain space, and where positions are parallel, as many as the most candidates
    of a slot."""
    read_together = list(dict.fromkeys(slots for _, slots in space.cost_terms))
    left = [
        rng.permutation(list(np.ndindex(*(space.num_candidates[slot] for slot in slots)))).tolist()
        for slots in read_together
    ]
    while any(left):
        arch: list[int | None] = [None] * space.num_slots
        for slots, choices in zip(read_together, left):
            # Positions may have some of their slots in common.
            fitting = [
                combination
                for combination in choices
                if all(arch[slot] in (None, choice) for slot, choice in zip(slots, combination))
            ]
            for slot, choice in zip(slots, fitting[-1] if fitting else ()):
                arch[slot] = choice
        drawn = [
            choice if chosen is None else chosen for chosen, choice in zip(arch, space.sample(rng))
        ]
        for slots, choices in zip(read_together, left):
            read = [drawn[slot] for slot in slots]
            if read in choices:
                choices.remove(read)
        yield tuple(drawn)


def _median_tables(space: SearchSpace, index: int, archs: Array, took: Array) -> list[Array]:
    """The tables of one position.

    Args:
        space: The space.
        index: The position.
        archs: The archs that were run, ``(N, num_slots)``.
        took: What the position took in each, ``(N, )``.
    """
    position = space.positions[index]
    shape = [space.num_candidates[slot] for slot in position.slots]
    if not position.parallel:
        table = np.zeros(shape)
        for choices in np.ndindex(table.shape):
            table[choices] = np.median(
                took[(archs[:, list(position.slots)] == choices).all(axis=1)]
            )
        return [table]
    # Each candidate against the first of its slot, so that there is one solution.
    features = np.concatenate(
        [np.eye(count)[archs[:, slot], 1:] for slot, count in zip(position.slots, shape)], axis=1
    )
    regression = QuantileRegressor(quantile=0.5, alpha=0).fit(features, took)
    tables = [
        np.append(0, part)
        for part in np.split(regression.coef_, np.cumsum(np.array(shape) - 1)[:-1])
    ]
    tables[0] += regression.intercept_
    return tables


class Stopwatch:
    """Marks moments on a device, and tells the time between two marks; on a GPU by events, so that
    marking does not wait for it."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.on_gpu = device, device.type == 'cuda'

    def mark(self) -> Any:
        if not self.on_gpu:
            return time.perf_counter()
        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        return event

    def milliseconds(self, start: Any, end: Any) -> float:
        if not self.on_gpu:
            return float(1000 * (end - start))
        end.synchronize()
        return float(start.elapsed_time(end))


def _check(archs: Sequence[Arch], predicted: Array, measured: Array) -> Check:
    error = np.abs(predicted / measured - 1)
    return dict(
        median_error=float(np.median(error)),
        largest_error=float(error.max()),
        rank_correlation=float(spearmanr(predicted, measured)[0]),
        subnets=[
            dict(arch=list(arch), predicted=float(p), measured=float(m))
            for arch, p, m in zip(archs, predicted, measured)
        ],
    )


def _device_name(device: torch.device) -> str:
    return (
        torch.cuda.get_device_name(device)
        if device.type == 'cuda'
        else f'{device.type} ({platform.machine()})'
    )
