"""``nas.rank``: how well a supernet orders archs, as ``tools/rank.py`` measures it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from ..engine.runner import build_runner
from ..errors import InputError
from ..folder_lock import held
from ..pipelines.arch_ranking import (
    CLASS_ARCHS,
    FEW_TRUTHS,
    ArchRanking,
    Sampling,
    check_ranking_config,
    rank_archs,
)
from ..ranking.few_truths import LEAST_TRUTHS
from ..ranking.ranking_report import EqualCostReport, RankingReport
from ..ranking.truth import TruthTable
from ..spaces import Arch
from .arch_scores import given_arch
from .quiet import QuietRunner, close_logs, quiet_run
from .supernets import Supernet

if TYPE_CHECKING:
    import pandas


class RankResult:
    """How rankers order archs: what :func:`rank` returns.

    Args:
        found: The ranking.

    Attributes:
        notes: What was left out and why, one sentence each.
    """

    def __init__(self, found: ArchRanking) -> None:
        self.notes = list(found.notes)
        self._found = found

    @property
    def samplings(self) -> list[str]:
        """How archs were drawn: the names that :meth:`table` takes."""
        return list(self._found.reports)

    @property
    def tau(self) -> dict[str, float]:
        """Kendall's tau-b of every ranker, on the first of :attr:`samplings`: 1 is the true order,
        0 a random one. In classes of equal cost it is the mean of their taus."""
        report = next(iter(self._found.reports.values()))
        return {name: ranking.tau.value for name, ranking in report.rankings.items()}

    def table(self, sampling: str | None = None) -> 'pandas.DataFrame':
        """One row per ranker, with 95 % intervals.

        Args:
            sampling: One of :attr:`samplings`; the first by default.

        Returns:
            With ``tau``, ``tau_low``, ``tau_high``, ``rho``, ``r`` and their ends,
            ``tau_top_half``, ``tau_top_tenth``, ``regret_best`` and ``regret_top10`` (in points of
            accuracy); for ``'equal-cost'`` with ``percentile`` and ``tau`` and their ends.

        Raises:
            InputError: There is no such sampling.
        """
        import pandas

        report = self._report(sampling)
        rows: dict[str, dict[str, float]] = {}
        for name, ranking in report.rankings.items():
            row: dict[str, float] = {}
            for field, value in vars(ranking).items():
                if hasattr(value, 'low'):
                    row |= {field: value.value, f'{field}_low': value.low}
                    row |= {f'{field}_high': value.high}
                elif isinstance(value, float):
                    row[field] = value
            rows[name] = row
        return pandas.DataFrame.from_dict(rows, orient='index').rename_axis('ranker')

    def archs(self, sampling: str | None = None) -> 'pandas.DataFrame':
        """One row per ranked arch: ``code``, its true accuracy ``truth`` in %, ``macs``, and a
        column per ranker with its scores.

        Args:
            sampling: As in :meth:`table`.

        Raises:
            InputError: There is no such sampling.
        """
        import pandas

        report, space = self._report(sampling), self._found.table.space
        known = dict(
            code=[space.encode(arch) for arch in report.archs],
            truth=report.truth,
            macs=[self._found.macs[arch] for arch in report.archs],
        )
        return pandas.DataFrame(known | report.scores)

    def text(self) -> str:
        """The tables in Markdown, as the tool prints them."""
        return self._found.text()

    def __repr__(self) -> str:
        best = max(self.tau.items(), key=lambda pair: (pair[1] == pair[1], pair[1]))
        return f'RankResult({len(self.tau)} rankers, best tau {best[1]:.3f} by {best[0]!r})'

    def _report(self, sampling: str | None) -> RankingReport | EqualCostReport:
        name = self.samplings[0] if sampling is None else sampling
        if name not in self._found.reports:
            raise InputError(f'sampling={sampling!r}: expected one of {self.samplings}')
        return self._found.reports[name]


def rank(
    supernet: Supernet,
    truth: str | os.PathLike | Mapping[Any, float | Sequence[float] | np.ndarray],
    *,
    archs: int | None = None,
    sampling: Sampling = 'all',
    class_archs: int = CLASS_ARCHS,
    scores: Sequence[str] | None = None,
    few_truths: int = FEW_TRUTHS,
    seed: int = 0,
    work_dir: str | os.PathLike | None = None,
) -> RankResult:
    """Compares how a supernet, and what needs no supernet, order archs with their true accuracies:
    the same as ``tools/rank.py``.

    Args:
        supernet: From :func:`pinas_mm.supernet`; without trained weights the baselines alone
            are ranked.
        truth: The true accuracies in %: a JSON or CSV file, or a dict of archs, as digits or tuples
            of indices, with one accuracy or those of several trainings.
        archs: Archs of a sample, at least 10; 120 by default, or all where the truth has fewer.
        sampling: How archs are drawn: ``'uniform'``, ``'stratified'``, ``'equal-cost'`` or
            ``'all'`` of them.
        class_archs: Archs of each class of equal cost, at least 10; 40 by default, or all where a
            class has fewer.
        scores: Metrics to rank by, higher is better; all by default.
        few_truths: How many true accuracies of other archs the row ``few_truths`` learns from, 0
            for none; 30 by default.
        seed: Seed of the archs, the calibration images and the intervals.
        work_dir: Where to write ``ranking.json`` and ``ranking.md``; None writes nothing.

    Returns:
        The result: ``.tau``, ``.table()`` and ``.archs()``.

    Raises:
        InputError: An argument or a table that does not fit.

    Example:
        >>> nas.rank(supernet, 'nas-bench-macro_cifar10.json').table()  # doctest: +SKIP
    """
    if sampling not in get_args(Sampling):
        raise InputError(f'sampling={sampling!r}: expected one of {list(get_args(Sampling))}')
    for key, value, least in (
        ('archs', archs, 10),
        ('class_archs', class_archs, 10),
        ('seed', seed, 0),
        ('few_truths', few_truths, 0),
    ):
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value < least
        ):
            raise InputError(f'{key}={value!r}: expected a whole number of at least {least}')
    if 0 < few_truths < LEAST_TRUTHS:
        raise InputError(
            f'few_truths={few_truths}: expected at least {LEAST_TRUTHS}, or 0 for none'
        )
    if scores is not None:
        supernet.require_trained(f'scores={list(scores)}')
    space = supernet.space
    table = _table(truth, supernet) if isinstance(truth, Mapping) else TruthTable.read(truth, space)
    with TemporaryDirectory() as scratch, quiet_run(supernet.scope):
        config = supernet.run_config(scratch)
        check_ranking_config(config)
        try:
            found = rank_archs(
                build_runner(config, QuietRunner),
                table,
                supernet.checkpoint if supernet.is_trained else None,
                supernet.weights(),
                archs=archs,
                class_archs=class_archs,
                sampling=sampling,
                scores=scores,
                few_truths=few_truths,
                seed=seed,
            )
        finally:
            close_logs(scratch)
    assert found is not None  # one process
    if work_dir is not None:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        with held(work_dir):
            found.write(work_dir, Path(config.filename or supernet.name).name)
    return RankResult(found)


def _table(truth: Mapping[Any, Any], supernet: Supernet) -> TruthTable:
    space = supernet.space
    trainings: dict[Arch, list[float]] = {}
    for key, values in truth.items():
        arch = given_arch(list(key) if isinstance(key, tuple) else key, space, 'truth')
        if arch in trainings:
            raise InputError(
                f'truth: {space.encode(arch)} is there twice, the second time as {key!r}: expected '
                f'each arch once, with a list of the accuracies of its trainings'
            )
        try:
            several = np.atleast_1d(np.asarray(values, dtype=float))
        except (TypeError, ValueError):
            several = np.empty((0, 0))
        if several.ndim != 1 or isinstance(values, str):
            raise InputError(
                f'truth: accuracy {values!r} of arch {space.encode(arch)}: expected a number in %, '
                f'such as 93.1, or a list of them'
            )
        trainings[arch] = several.tolist()
    return TruthTable(space, trainings)
