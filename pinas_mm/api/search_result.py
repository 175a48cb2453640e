"""``nas.search``: the search of tools/search.py, and what it found."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.config import Config

from ..costs.table import Limits
from ..engine.search_config import build_search, search_config
from ..engine.search_loop import SCORE, SearchLoop, search_score
from ..errors import InputError
from ..searching.history import Record, read_history
from ..searching.pareto import pareto_front
from ..searching.search import by_posterior_mean
from ..searching.searchers import NUM_ARCHS
from ..spaces.arch_text import candidate_names
from .arch_scores import GivenArch, given_arch
from .quiet import QuietRunner, progress_bar, quiet_run
from .subnets import Subnet
from .supernets import Supernet

if TYPE_CHECKING:
    import pandas

# Keys of SearchLoop that nas.search has an argument for, and its name.
ARGUMENTS = dict(
    num_archs='archs', constraints='limits', score='score', searcher='searcher', seed='seed'
)
# Keys that it fills in by itself.
OWN_KEYS = ('type', 'resume', 'trained', 'out_dir')


class SearchResult:
    """What a search found, so far or in the end.

    Args:
        supernet: What was searched.
        work_dir: Where its files are.
        loop: The search.
        records: Every evaluated arch, in the order asked.
        winner: The arch named in the end; None where the search was stopped before.
        input_size: Height and width in pixels that costs are counted at.

    Attributes:
        complete: Whether the search came to its end.
    """

    def __init__(
        self,
        supernet: Supernet,
        work_dir: Path,
        loop: SearchLoop,
        records: Sequence[Record],
        winner: Record | None,
        input_size: tuple[int, int],
    ) -> None:
        self.supernet, self.work_dir, self.input_size = supernet, work_dir, input_size
        self.records = list(records)
        self.complete = winner is not None
        self._loop, self._winner = loop, winner

    @property
    def best(self) -> Subnet:
        """The arch of which most is to be expected after all scores: the winner of a search that
        came to its end.

        Raises:
            InputError: Not one arch has a score yet.
        """
        return self._subnet(self._winner or self._best_so_far())

    def subnet(self, arch: GivenArch) -> Subnet:
        """An arch of the space, such as ``result.subnet(table.arch[3])``; its score and metrics are
        there where the search evaluated it.

        Args:
            arch: As in :func:`pinas_mm.evaluate`.

        Raises:
            InputError: It is no arch of the space.
        """
        chosen = given_arch(arch, self.supernet.space, 'arch')
        known = {record.arch: record for record in self.records}  # the last is the best scored
        record = known.get(chosen) or Record(
            0, chosen, None, costs=self._loop.costs.arch_costs(chosen)
        )
        return self._subnet(record)

    def table(self) -> 'pandas.DataFrame':
        """One row per evaluated arch, in the order asked.

        Columns: ``arch`` by candidate names; ``code``, its digits; ``score``, what was maximised
        (NaN where an arch failed); ``final``, the same on all held-out images, for the best that
        were scored again; every metric; ``macs``, ``backbone_macs`` and ``params`` in units of one,
        ``latency`` in ms; ``front``, whether no other arch has at least its score for less; and
        ``error``, why it failed.
        """
        import pandas

        space = self.supernet.space
        final = {record.arch: record.score for record in self.records if record.stage == 'final'}
        found = [record for record in self.records if record.stage == 'search']
        front = self._front(found)
        costs = list(self._loop.costs.fixed)
        columns = ['arch', 'code', 'score', 'final', *self._metric_names(), *costs]
        rows = [
            dict(
                arch=', '.join(candidate_names(space, record.arch)),
                code=space.encode(record.arch),
                score=np.nan if record.score is None else record.score,
                final=final.get(record.arch, np.nan),
            )
            | record.metrics
            | record.costs
            | dict(front=record.index in front, error=record.error)
            for record in found
        ]
        index = pandas.Index([record.index for record in found], name='index')
        return pandas.DataFrame(rows, index=index, columns=[*columns, 'front', 'error'])

    def report(self, path: str | os.PathLike = 'report.html') -> Path:
        """Writes the report of the search: one HTML file that opens offline.

        Args:
            path: The file to write.

        Returns:
            The path.
        """
        from ..visualization.search_report import write_search_report

        write_search_report(self.work_dir, Path(path))
        return Path(path)

    def __len__(self) -> int:
        """How many archs were evaluated."""
        return sum(record.stage == 'search' for record in self.records)

    def __repr__(self) -> str:
        state = 'complete' if self.complete else 'stopped'
        scored = any(record.score is not None for record in self.records)
        best = f', best {self.best}' if scored else ''
        return f'SearchResult({len(self)} archs, {state}, in {self.work_dir}{best})'

    def _metric_names(self) -> list[str]:
        return list(dict.fromkeys(name for record in self.records for name in record.metrics))

    def _front(self, records: Sequence[Record]) -> set[int]:
        """The index of every record that no other one beats in score and costs."""
        scored = [record for record in records if record.score is not None]
        values = np.array(
            [
                (-(record.score or 0.0), *(record.costs[name] for name in self._loop.objectives))
                for record in scored
            ]
        )
        return {scored[i].index for i in pareto_front(values)} if scored else set()

    def _best_so_far(self) -> Record:
        found = [record for record in self.records if record.stage == 'search']
        if not any(record.score is not None for record in found):
            raise InputError(
                f'{self.work_dir}: no arch has a score yet; go on with nas.search(..., '
                f'work_dir={str(self.work_dir)!r}, resume=True)'
            )
        return by_posterior_mean(self.supernet.space, found, self._loop.score)[0]

    def _subnet(self, record: Record) -> Subnet:
        return Subnet(
            self.supernet,
            self._loop.subnet_file(record),
            record.score,
            self._loop.whole_evaluator.recalibrated,
            self._loop.whole_evaluator.model,
            self.input_size,
        )


def search(
    supernet: Supernet,
    archs: int | None = None,
    limits: Limits | None = None,
    score: str | Mapping[str, float] | None = None,
    *,
    searcher: str | Mapping[str, Any] | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    work_dir: str | os.PathLike | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> SearchResult:
    """Searches a supernet: the same search, with the same files, as ``tools/search.py``.

    What is not given is as the config's ``search_loop`` has it, and else as below.

    Ctrl-C stops it: a warning says how to go on, and what was evaluated is returned; nothing where
    it had not begun, or with ``resume`` not gone on.

    Args:
        supernet: From :func:`pinas_mm.supernet`.
        archs: How many archs to evaluate; 1,000 by default, as published.
        limits: The most of a cost, or the least and the most: ``dict(macs=4e6)``,
            ``dict(macs=(2e6, 4e6), params=3e6)``; in units of one, ``latency`` in ms. No limits by
            default.
        score: What is maximised: the name of a metric, ``'accuracy/top1'`` by default; of a score
            that trains nothing, such as ``'naswot'``; or a sum of such with a weight for each.
        searcher: A searcher's name or config; ``'partition_tree'`` by default.
        seed: Seed of the searcher and of the samples; 0 by default.
        settings: Further arguments of :class:`~pinas_mm.engine.SearchLoop`, such as
            ``dict(score_samples=1000, top_k=5)``.
        work_dir: Where the results go; ``work_dirs/<name of the supernet>`` by default. A search is
            resumed by this name. ``search_loop.out_dir`` of a config comes before it.
        resume: Whether to go on from the search in ``work_dir``, which must have the same settings.
            Where there is none, one begins.
        progress: Whether to show a progress bar; by default where standard error is a terminal, and
            in notebooks.

    Returns:
        The result: ``.best``, ``.table()``, ``.report()``.

    Raises:
        InputError: An argument that does not fit, no arch within the limits, or a search in
            ``work_dir`` without ``resume``.

    Example:
        >>> result = nas.search(supernet, archs=200, limits=dict(macs=1e6))  # doctest: +SKIP
        >>> result.best.export('best.onnx')  # doctest: +SKIP
    """
    if not isinstance(supernet, Supernet):
        raise InputError(
            f'supernet={type(supernet).__name__}: expected what nas.supernet(config, checkpoint) '
            f'returns'
        )
    folder = Path(work_dir or supernet.config.get('work_dir') or f'work_dirs/{supernet.name}')
    given = dict(archs=archs, limits=limits, score=score, searcher=searcher, seed=seed)
    with quiet_run(supernet.scope):
        config = _config(supernet, given, dict(settings or {}), folder)
    maximised = search_score(config.test_cfg.get('score', SCORE))
    if learned := [name for name in maximised.parts if name not in maximised.exact]:
        supernet.require_trained(f'score={learned[0]!r}')
    try:
        size = config.test_cfg.input_size
        written = Path(config.test_cfg.get('out_dir') or folder)
        with quiet_run(supernet.scope):
            runner = build_search(config, supernet.weights(), resume, QuietRunner)
            loop = runner.test_loop
            winner: Record | None = None
            begun = False
            try:
                with progress_bar(progress) as show:

                    def on_progress(title: str, done: float, total: float, best: float) -> None:
                        nonlocal begun
                        begun = True
                        show(title, done, total, best)

                    loop.on_progress = on_progress
                    runner.test()
                winner = loop.winner
            except KeyboardInterrupt:
                warnings.warn(
                    f'stopped: {written} keeps what was evaluated; go on with nas.search(..., '
                    f'work_dir={str(folder)!r}, resume=True)'
                    if begun
                    else 'stopped before an arch was evaluated; call nas.search again as before',
                    stacklevel=2,
                )
    except InputError as error:
        raise InputError(_by_argument(str(error))) from error
    path = written / 'history.jsonl'
    # Until it has begun or gone on, the file there may be of another search.
    ours = (begun or winner is not None) and path.exists()
    records = read_history(path, supernet.space)[1] if ours else []
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    return SearchResult(supernet, written, loop, records, winner, (height, width))


def _config(
    supernet: Supernet, given: Mapping[str, Any], settings: dict[str, Any], folder: Path
) -> Config:
    """The config whose test loop is the search, for a Runner.

    Raises:
        InputError: An argument that does not fit, or one that has two values.
    """
    for key in settings:
        if key in ARGUMENTS:
            raise InputError(f'settings: {key} is an argument of nas.search: {ARGUMENTS[key]}=...')
        if key in OWN_KEYS:
            raise InputError(f'settings: {key} is set by nas.search; leave it out')
    if isinstance(given['archs'], bool) or (
        given['archs'] is not None and (not isinstance(given['archs'], int) or given['archs'] < 1)
    ):
        raise InputError(
            f'archs={given["archs"]!r}: expected a whole number of at least 1, such as 200'
        )
    if given['limits'] is not None and not isinstance(given['limits'], Mapping):
        raise InputError(f'limits={given["limits"]!r}: expected dict(macs=4e6)')
    own = supernet.config.get('search_loop') or dict(
        type='pinas_mm.SearchLoop', searcher=dict(type='partition_tree'), num_archs=NUM_ARCHS
    )
    loop = dict(own) | settings
    for key, argument in ARGUMENTS.items():
        value = given[argument]
        if value is not None:
            if key == 'searcher' and isinstance(value, str):
                value = dict(type=value)
            loop[key] = dict(value) if isinstance(value, Mapping) else value
    if loop.get('input_size') is None:
        loop['input_size'] = supernet.input_size()
    config = supernet.run_config(folder)
    config.search_loop = loop
    return search_config(config)


def _by_argument(message: str) -> str:
    """A message with the names of the arguments in place of the config's."""
    for key, argument in ARGUMENTS.items():
        for place in ('search_loop', 'test_cfg'):
            message = message.replace(f'{place}.{key}', argument)
    if message.startswith('constraints'):
        message = 'limits' + message.removeprefix('constraints')
    if message.startswith('no arch of space'):
        message = f'limits: {message}'
    return message.replace('search_loop.', 'settings.').replace('test_cfg.', 'settings.')
