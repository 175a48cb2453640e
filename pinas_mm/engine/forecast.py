"""What a search will cost, from a short probe."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dist import get_world_size
from torch.utils.data import DataLoader

from ..scoring.evaluator import ArchEvaluator
from ..searching.search import Failure
from ..spaces import Arch
from ..subnets.state_dict import subnet_state_dict

PROBE_BATCHES = 2
# A line of history.jsonl: the record of an arch, with its share of the searcher's state.
HISTORY_BYTES = 600


@dataclass(frozen=True)
class Forecast:
    """The forecast of a search.

    Args:
        archs, asked_batches: Archs to evaluate, and in how many asked batches.
        data_batches: Batches of data read for each asked batch: calibration, scoring.
        seconds: Forecast time on as many ranks as run now.
        memory_mb: Peak memory of the probe: of the process, or of the GPU.
        results_mb: What the metrics keep of the predictions of all batches, beside that.
        disk_mb: What the search writes.
    """

    archs: int
    asked_batches: int
    data_batches: tuple[int, int]
    seconds: float
    memory_mb: float
    results_mb: float
    disk_mb: float

    def lines(self) -> list[str]:
        """The forecast for people."""
        hours, minutes = divmod(math.ceil(self.seconds / 60), 60)
        return [
            f'archs    {self.archs} in {self.asked_batches} asked batches',
            f'data     {self.data_batches[0]} calibration and {self.data_batches[1]} scoring '
            f'batches per asked batch',
            f'time     {hours} h {minutes} min on {get_world_size()} rank(s)',
            f'memory   {self.memory_mb:.0f} MB at the peak of the probe, and '
            f'{self.results_mb:.0f} MB of predictions that the metrics keep',
            f'disk     {self.disk_mb:.1f} MB',
        ]


class FirstBatches:
    """The first batches of a loader."""

    def __init__(self, loader: DataLoader, n: int) -> None:
        self.loader, self.n = loader, min(n, len(loader))

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self.loader, self.n)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


def forecast(
    evaluator: ArchEvaluator,
    archs: Sequence[Arch],
    num_archs: int,
    rescored: int,
    whole: ArchEvaluator,
    clock: Callable[[], float] = time.perf_counter,
    ask_size: int | None = None,
    writes_weights: bool = True,
) -> Forecast:
    """Times an asked batch on the first batches of data and scales that up.

    A race is forecast as if it dropped no arch.

    Args:
        evaluator: The evaluator of the search.
        archs: An asked batch, the largest of the search.
        num_archs: The budget.
        rescored: Archs that are scored again at the end.
        whole: The evaluator that scores them.
        clock: Tells the time in seconds.
        ask_size: Archs of the other batches. Defaults to as many.
        writes_weights: Whether the winner's weights are written.

    Raises:
        RuntimeError: No arch of the probe could be evaluated.
    """
    in_order = sorted(archs, key=evaluator.backbone.sharing_key)
    mine = in_order[: max(1, math.ceil(len(archs) / get_world_size()))]

    bytes_per_batch = 0

    def probe(calibration: int, scoring: int) -> float:
        """Seconds for so many batches of each loader."""
        nonlocal bytes_per_batch
        part = evaluator.on_loaders(
            FirstBatches(evaluator.calibration_loader, calibration),
            FirstBatches(evaluator.loader, scoring),
        )
        started = clock()
        results = part.evaluate(mine)
        failed = [result.error for result in results if isinstance(result, Failure)]
        if len(failed) == len(results):
            raise RuntimeError(f'the probe failed: {failed[0]}')
        bytes_per_batch = max(bytes_per_batch, part.bytes_per_batch)
        return clock() - started

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    probe(1, 1)  # the first run also loads and chooses kernels
    shortest = probe(1, 1)
    calibration, scoring = len(evaluator.calibration_loader), len(evaluator.loader)
    # What more batches add: without what starts every pass.
    more_calibration, more_scoring = (
        min(PROBE_BATCHES, calibration - 1),
        min(PROBE_BATCHES, scoring - 1),
    )
    per_calibration = (
        max(probe(1 + more_calibration, 1) - shortest, 0.0) / more_calibration
        if more_calibration
        else shortest / 2
    )
    per_scoring = (
        max(probe(1, 1 + more_scoring) - shortest, 0.0) / more_scoring
        if more_scoring
        else shortest / 2
    )
    start = max(shortest - per_calibration - per_scoring, 0.0)
    asked = 1 + math.ceil(max(0, num_archs - len(archs)) / (ask_size or len(archs)))
    if evaluator.without_weights:
        calibration = scoring = 0
        start = shortest * num_archs / len(archs) / asked
    seconds = asked * (start + per_calibration * calibration + per_scoring * scoring)
    if rescored:
        seconds += start + rescored / len(archs) * (
            per_calibration * calibration + per_scoring * len(whole.loader)
        )
    weights = sum(
        tensor.numel() * tensor.element_size()
        for tensor in subnet_state_dict(evaluator.model, mine[0]).values()
        if writes_weights
    )
    return Forecast(
        num_archs,
        asked,
        (calibration, scoring),
        seconds,
        _peak_memory_mb(),
        max(
            _results_mb(evaluator, len(mine), bytes_per_batch),
            _results_mb(whole, math.ceil(rescored / get_world_size()), bytes_per_batch),
        ),
        (weights + HISTORY_BYTES * num_archs) / 2**20,
    )


def _results_mb(evaluator: ArchEvaluator, num_archs: int, bytes_per_batch: int) -> float:
    """What the metrics of so many archs keep of the whole data, which is split to a limit."""
    of_one = bytes_per_batch * len(evaluator.loader) / 2**20
    together = of_one * num_archs
    return (
        together if evaluator.race is not None else min(together, max(evaluator.results_mb, of_one))
    )


def _peak_memory_mb() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
