"""The search as an mmengine loop: ``search_loop = dict(type='pinas_mm.SearchLoop', ...)``."""

import json
import logging
import math
import zlib
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any

import numpy as np
from mmengine.dist import broadcast_object_list, get_world_size, is_main_process
from mmengine.model import BaseModel
from mmengine.runner import BaseLoop, Runner

from ..checkpoint import checksum
from ..console import LOG_ONLY, WIDTH, Progress, say_log_file, short_path, shortened
from ..costs import Constraints, CostTable, Limits, measure_costs
from ..costs.latency import Latency, read_latency
from ..datasets.fingerprint import fingerprint
from ..errors import InputError
from ..fileio import write_atomic
from ..folder_lock import held
from ..models.backbones import supernet_of
from ..ranking.training_free import TRAINING_FREE, TrainingFreeScores
from ..registry import LOOPS, with_type_names
from ..schema import Count, Expected, Number, Positive, Seed
from ..scoring.distributed import evaluate_on_ranks
from ..scoring.evaluator import RESULTS_MB, ArchEvaluator, Autocast, build_arch_evaluator
from ..scoring.race import Race
from ..searching.history import History, Record
from ..searching.pareto import pareto_front
from ..searching.score import Score
from ..searching.search import Failure, all_equal, by_posterior_mean, ranked, rescore, search
from ..searching.searchers import NUM_ARCHS, Searcher, build_searcher, searcher_name
from ..spaces import Arch
from ..spaces.arch_text import arch_text
from ..spaces.subnet_file import SubnetFile
from ..subnets.state_dict import subnet_state_dict
from ..subnets.write import write_subnet
from ..visualization import plot_pareto, plot_search_curve
from ..visualization.arch_drawing import write_arch_svg
from ..visualization.report_page import report_after_run
from ..visualization.run_facts import (
    RunFacts,
    command_line,
    costliest_arch,
    drawn_arch,
    package_versions,
    unique,
)
from ..visualization.search_report import write_search_report
from .forecast import Forecast, forecast
from .live_curves import add_plots, add_record
from .loaders import arch_evaluation, calibration_loader, capped, first_images, whole_set_loader
from .run_data import without_roots
from .run_notes import BatchClock, noted_warnings

SCORE = 'accuracy/top1'
ASK_SIZE = 8


@LOOPS.register_module()
class SearchLoop(BaseLoop):
    """Searches the supernet in the runner's model.

    Writes ``subnet.yaml``, ``subnet.pth`` and ``arch.svg`` (the winner, its weights, its drawing),
    ``history.jsonl``, ``pareto.json``, ``search_curve.png``, ``pareto.png``, and ``report.html``
    with ``report.json``, which it needs beside them. Runs where the test loop would
    (:func:`~pinas_mm.engine.search_config.search_config`), after the checkpoint is loaded. The loop
    itself is :func:`pinas_mm.searching.search.search`. Ranks share the archs of an
    asked batch; the history is the same on any number of them.

    Args:
        runner: The runner.
        dataloader: The held-out split (``val_dataloader`` of the config); disjoint from the
            calibration samples.
        evaluator: Metrics (``val_evaluator`` of the config).
        searcher: Config of a searcher, such as ``dict(type='partition_tree', ...)``. ``type`` is a
            name registered in :mod:`pinas_mm.searching.searchers`, or a class or its dotted path.
        input_size: Height and width in pixels at which MACs are counted, or one number for both.
        num_archs: Budget, 1,000 as published.
        ask_size: Archs asked at a time and evaluated together. 8 as published; with more, archs
            share more and the search is faster, but learns later (docs/results/searching.md).
        calibration_dataloader, calibration_batches, autocast: How BN is recalibrated and in which
            precision archs run. Defaults to ``arch_evaluation`` of the config
            (:func:`~pinas_mm.engine.loaders.arch_evaluation`).
        score: What is maximised: the name of a metric; of a score that trains nothing
            (:mod:`pinas_mm.ranking.training_free`), or one of your own there; or a sum of such with
            a weight for each, ``{'score/neg_loss': 1, 'naswot': 1}``, whose parts count by the
            share of random archs that they beat (:class:`~pinas_mm.searching.score.Score`).
            docs/ranking.md says which to take. Without a metric among them nothing is evaluated
            with the supernet's weights while searching.
        constraints: Limits on costs: ``dict(macs=50e6)`` or ``dict(macs=(40e6, 50e6),
            params=...)``, of the whole model, ``backbone_macs`` of its backbone alone, and
            ``latency`` in ms where there is a table of it.
        latency_table: A file that ``tools/latency.py`` wrote.
        score_samples: While searching, score on only so many of the held-out samples, drawn by
            ``seed``, each class in proportion. Defaults to all, also where there are not so many.
        top_k: So many of the best are scored again on the whole held-out split before the winner is
            named. The best are those of which most is to be expected after all scores of the
            search, not the luckiest (:func:`~pinas_mm.searching.search.by_posterior_mean`).
        race: ``dict(top_k=10, confidence=0.95)`` drops archs from an asked batch while data comes
            in, see :class:`Race`; needs a larger ``ask_size``. Ranks race their own shares, so a
            raced search resumes on as many ranks. Defaults to no race.
        share_prefixes: Whether what archs share runs once; the scores are equal either way.
        fold_bn: Whether BN is folded into convolutions for scoring: faster, and different by
            rounding.
        results_mb: Archs whose metrics would keep more than so many MB of predictions together are
            scored in several passes over the data; the scores are equal either way, and a search
            resumes with another limit. Metrics that need only sums, such as accuracies, keep next
            to nothing. Defaults to 1024: beside a supernet on a machine of 4 GB, and five times
            what the boxes of 8 archs take on COCO's 5,000 validation images. A race is not split.
        save_pareto: Whether to write a subnet for every arch of the Pareto front, to
            ``pareto/<arch>/``.
        seed: Seed of the searcher and of the samples.
        trained: Whether the supernet's weights are trained. If not, the score has to be one that
            trains nothing, and no ``subnet.pth`` is written: the found arch is to be trained from
            scratch.
        resume: Whether to go on from the history in ``out_dir``.
        out_dir: Where to write. Defaults to the work dir.

    Attributes:
        on_progress: Called as ``on_progress(title, done, total, best)`` as archs are evaluated;
            ``done`` counts parts of an arch too, ``best`` is ``-inf`` before the first score. A
            program sets it to show the progress in its own way. None: the loop shows a bar.

    Raises:
        InputError: An unknown searcher or argument, or what :func:`search` and :class:`History`
            raise.
    """

    on_progress: Callable[[str, float, float, float], Any] | None = None

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: dict | list,
        searcher: Annotated[dict, Expected('a dict', "dict(type='partition_tree')")],
        input_size: Count | tuple[Count, Count],
        num_archs: Count = NUM_ARCHS,
        ask_size: Count = ASK_SIZE,
        calibration_dataloader: dict | None = None,
        calibration_batches: Count | None = None,
        score: str | dict[str, Number] = SCORE,
        constraints: Limits | None = None,
        latency_table: str | None = None,
        score_samples: Count | None = None,
        top_k: Count = 10,
        race: Annotated[dict, Expected('a dict', 'dict(top_k=10)')] | None = None,
        share_prefixes: bool = True,
        autocast: Autocast | None = None,
        fold_bn: bool = False,
        results_mb: Positive = RESULTS_MB,
        save_pareto: bool = False,
        seed: Seed = 0,
        trained: bool = True,
        resume: bool = False,
        out_dir: str | None = None,
    ) -> None:
        self.backbone = supernet_of(runner.model)
        self.costs = measure_costs(runner.model, input_size)
        for note in self.costs.notes:
            runner.logger.info(note)
        latency = None if latency_table is None else read_latency(latency_table, self.backbone)
        if latency is not None and (doubt := latency.doubt()):
            runner.logger.warning(f'latency_table={latency_table}: {doubt}')
        self.constraints, self.searcher = limited_searcher(
            self.costs, latency, searcher, constraints, seed, num_archs
        )
        self.objectives: tuple[str, ...] = getattr(self.searcher, 'objectives', ('macs',))
        self.num_archs, self.ask_size, self.top_k, self.seed = num_archs, ask_size, top_k, seed
        self.score = search_score(score)
        self.trained = trained
        learned = [name for name in self.score.parts if name not in self.score.exact]
        if learned and not trained:
            raise InputError(
                f'search_loop.score={score}: {learned[0]} is of trained weights, and there is no '
                f'checkpoint: name one, or a score that trains nothing, of {sorted(TRAINING_FREE)}'
            )
        self.save_pareto = save_pareto
        self.resume = resume
        self.out_dir = Path(out_dir or runner.work_dir)

        settings = arch_evaluation(
            runner.cfg,
            calibration_dataloader=calibration_dataloader,
            calibration_batches=calibration_batches,
            autocast=autocast,
        )
        calibration = calibration_loader(
            settings['calibration_dataloader'], settings['calibration_batches'], seed
        )
        racing = build_race(race, score, ask_size)
        training_free = training_free_parts(
            self.score, runner.model, settings['calibration_dataloader'], seed
        )

        def arch_evaluator(num_samples: int | None, race: Race | None) -> ArchEvaluator:
            loader = whole_set_loader(dataloader, num_samples, seed, shuffle=race is not None)
            return build_arch_evaluator(
                runner,
                calibration,
                loader,
                evaluator,
                settings['autocast'],
                share_prefixes=share_prefixes,
                fold_bn=fold_bn,
                race=race,
                scores=[*self.score.parts],
                training_free=training_free,
                results_mb=results_mb,
            )

        self.whole_evaluator = arch_evaluator(None, None)
        super().__init__(runner, self.whole_evaluator.loader)
        self.quick_evaluator = self.whole_evaluator
        num_samples = capped('score_samples', score_samples, self.whole_evaluator.loader.dataset)
        if learned and (num_samples is not None or racing is not None):
            self.quick_evaluator = arch_evaluator(num_samples, racing)
        header = dict(
            config=Path(runner.cfg.filename or '').name,
            seed=seed,
            searcher=dict(searcher, type=searcher_name(searcher['type'])),
            constraints=str(self.constraints),
            score=score,
            score_samples=score_samples,
            calibration_batches=settings['calibration_batches'],
            ask_size=ask_size,
            input_size=input_size,
            race=race and race | dict(ranks=get_world_size()),
            autocast=settings['autocast'],
            fold_bn=fold_bn,
            dataset=dataloader['dataset'],
            evaluator=evaluator,
            calibration_dataloader=settings['calibration_dataloader'],
            model=runner.cfg.get('model'),
            latency_table_checksum=zlib.crc32(repr(self.costs.tables.get('latency')).encode()),
        )
        header = with_type_names(header, runner.cfg.get('default_scope'))
        self.header = without_roots(header, runner.cfg)

    def run(self) -> dict[str, float]:
        """:meth:`search` between the hooks ``before_test`` and ``after_test``; returns the winner's
        metrics. Hooks of a test's epoch are not called: mmengine's would log the score on held-out
        data as that of a test."""
        self.runner.call_hook('before_test')
        winner = self.search()
        self.runner.call_hook('after_test')
        return winner.metrics

    def search(self) -> Record:
        """Searches, scores the best again, writes the results and returns the winner's record.

        Ctrl-C and SIGTERM leave the history complete up to the last asked batch and are passed on.

        Raises:
            InputError: The metrics cannot be computed, no arch could be evaluated, or another
                process writes the folder.
        """
        with held(self.out_dir), noted_warnings(self.runner.logger) as self.warnings:
            return self._search()

    def _search(self) -> Record:
        self.clock = BatchClock()
        self.check_metrics()
        history = self.open_history()
        if history.records:
            self.runner.logger.info(f'{history.path}: goes on after {len(history.records)} records')
        self._say_what_is_searched()
        replayed = {(record.stage, record.index) for record in history.records}
        try:
            done = len(history.stage('search'))
            with Progress('search', self.num_archs, done, ends=False) as progress:
                self.best_score = -math.inf
                records = search(
                    self.searcher,
                    self._evaluate(self.quick_evaluator, progress),
                    history,
                    self.num_archs,
                    self.score,
                    self.ask_size,
                    self.costs.arch_costs,
                    lambda record: self._report(record, progress, replayed),
                )
            if len(records) < self.num_archs:
                self.runner.logger.warning(
                    f'the space has no more archs with {self.constraints.text()}: '
                    f'{len(records)} of {self.num_archs} evaluated'
                )
            best = self._by_posterior_mean(records)
            if self.quick_evaluator is not self.whole_evaluator:
                again = best[: self.top_k]
                images: Any = self.whole_evaluator.loader.sampler
                self.runner.logger.info(
                    f'the {len(again)} best again, on all {len(images)} held-out images'
                )
                with Progress('score again', len(again), lines=False) as progress:
                    self.best_score = -math.inf
                    final = rescore(
                        again,
                        self._evaluate(self.whole_evaluator, progress),
                        history,
                        self.score,
                        lambda record: self._report(record, progress, replayed),
                    )
                best = self._by_posterior_mean(records, final) if final else []
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, SIGTERM
            # Who shows the progress in another way says this, too.
            self.runner.logger.log(
                logging.WARNING if self.on_progress is None else logging.INFO,
                f'stopped; {history.path} has {len(history.records)} records; resume the search '
                'with the same command (tools/search.py: with --resume)',
            )
            if is_main_process() and history.records:
                with suppress(OSError):  # a full disk must not hide why the search stopped
                    self.write_facts(None)
            raise
        if not best:
            raise InputError(f'{history.path}: not one of {len(records)} archs could be evaluated')
        self.winner = best[0]
        if is_main_process():
            self.write_results(records, best[0])
        for scored in (ranked(records), best):
            if all_equal(scored):
                self.runner.logger.warning(
                    f'{self.score} is {scored[0].score:g} for all {len(scored)} archs: the scores '
                    f'do not tell the archs apart, and the one named is any of them'
                )
                break
        if is_main_process():
            report_after_run(self._write_report, self.out_dir, self.runner.logger)
        return best[0]

    def _write_report(self, folder: Path) -> Path:
        self.write_facts(self.winner)
        return write_search_report(folder)

    def _by_posterior_mean(
        self, records: list[Record], final: Sequence[Record] = ()
    ) -> list[Record]:
        """:func:`~pinas_mm.searching.search.by_posterior_mean`, in the first rank's order: on
        another machine a rounding could turn it round."""
        order = by_posterior_mean(self.backbone.space, records, self.score, final)
        message = [[record.index for record in order]]
        broadcast_object_list(message)
        by_index = {record.index: record for record in order}
        return [by_index[index] for index in message[0]]

    def check_metrics(self) -> None:
        """Computes the metrics of one arch on two samples.

        Raises:
            InputError: They cannot be computed, or the score is not among them.
        """
        check_scores(self.whole_evaluator)

    def forecast(self) -> Forecast:
        """What the search will cost, from a short probe; searches and writes nothing."""
        self.check_metrics()
        size = max(self.ask_size, self.score.reference(self.num_archs))
        archs = self.searcher.ask(min(size, self.num_archs))
        rescored = (
            0 if self.quick_evaluator is self.whole_evaluator else min(self.top_k, self.num_archs)
        )
        return forecast(
            self.quick_evaluator,
            archs,
            self.num_archs,
            rescored,
            self.whole_evaluator,
            ask_size=self.ask_size,
            writes_weights=self.trained,
        )

    def open_history(self) -> History:
        """The history: the first rank's file, and copies of it in the memory of the others.

        Raises:
            InputError: On every rank, where the first one cannot go on from the file.
        """
        evaluator = self.whole_evaluator
        data = dict(
            val_dataloader=fingerprint(evaluator.loader.dataset),
            calibration_dataloader=fingerprint(evaluator.calibration_loader.dataset),
        )
        weights = evaluator.model.state_dict() if self.trained else {}
        header = self.header | dict(supernet_checksum=checksum(weights), data=data)
        history = History(None, self.backbone.space, header)
        message: list[Any] = [None, None, None, None]
        if is_main_process():
            try:
                history = History(
                    self.out_dir / 'history.jsonl', self.backbone.space, header, self.resume
                )
                for record in history.records:
                    if absent := self.costs.fixed.keys() - record.costs.keys():
                        raise InputError(
                            f'{history.path}: the record of index {record.index} has no '
                            f'{min(absent)} among its costs'
                        )
                message = [history.records, history.searcher_state, history.first_batch, None]
            except (InputError, OSError) as error:
                message = [None, None, None, str(error)]
        broadcast_object_list(message)
        records, state, first_batch, reason = message
        if reason is not None:
            raise InputError(reason)
        history.records, history.searcher_state = records, state
        history.first_batch = first_batch
        return history

    def write_results(self, records: Sequence[Record], winner: Record) -> None:
        """Writes the winner's subnet, the Pareto front and the plots."""
        self.save_subnet(winner, self.out_dir)
        self.runner.logger.info(indent(arch_text(self.backbone.space, winner.arch), '    '))
        if winner.score is not None and self.best_score > winner.score:
            self.runner.logger.info(
                f'another arch has the best single score, {self.best_score:.4f}; of this one more '
                f'is expected, after all scores'
            )
        scored = [(record.score, record) for record in records if record.score is not None]
        values = np.array(
            [
                (-score, *(record.costs[name] for name in self.objectives))
                for score, record in scored
            ]
        )
        front = [scored[i][1] for i in pareto_front(values)]
        text = json.dumps(
            dict(objectives=[str(self.score), *self.objectives], front=list(map(asdict, front))),
            indent=1,
        )
        write_atomic(self.out_dir / 'pareto.json', lambda file: file.write(text.encode()))
        for record in front if self.save_pareto else ():
            self.save_subnet(
                record, self.out_dir / 'pareto' / self.backbone.space.encode(record.arch)
            )
        plot_search_curve(records, self.score.label, self.out_dir / 'search_curve.png')
        plot_pareto(records, self.score.label, self.objectives[0], self.out_dir / 'pareto.png')
        plots = [self.out_dir / f'{name}.png' for name in ('search_curve', 'pareto')]
        add_plots(self.runner.visualizer, self._curves(), plots, len(records))

    def write_facts(self, winner: Record | None) -> None:
        """Writes ``report.json``: what the report shows beside the other files. The time of a
        search that resumes counts what its earlier starts took."""
        archs = {'winner': winner and winner.arch, 'largest': costliest_arch(self.costs)}
        before: RunFacts | None = None
        if self.resume:
            try:
                before = RunFacts.read(self.out_dir, 'search')
            except InputError as error:  # of another version, or changed by hand
                self.runner.logger.warning(f'{error}; the file is replaced')
        forecast: dict[str, Any] = self.clock.forecast(self.num_archs)
        if before is not None and before.forecast_seconds:  # of the first start
            scale = self.num_archs / (before.budget or self.num_archs)
            forecast = dict(
                forecast_seconds=before.forecast_seconds * scale,
                forecast_archs=before.forecast_archs,
            )
        RunFacts(
            kind='search',
            space=self.backbone.space.name,
            command=command_line(),
            config=self.runner.cfg.filename,
            versions=package_versions(),
            settings={'costs at': f'{self.header["input_size"]} pixels'},
            widen_factor=self.backbone.widen_factor,
            limits={
                name: (None if math.isinf(low) else low, None if math.isinf(high) else high)
                for name, (low, high) in self.constraints.limits.items()
            },
            budget=self.num_archs,
            seconds=self.clock.seconds + ((before.seconds or 0.0) if before else 0.0),
            warnings=unique([*(before.warnings if before else ()), *self.warnings]),
            drawings={title: drawn_arch(self.costs, arch) for title, arch in archs.items() if arch},
            **forecast,
        ).write(self.out_dir)

    def save_subnet(self, record: Record, out_dir: Path) -> None:
        """Writes ``subnet.yaml``, its drawing ``arch.svg``, and where the weights are trained
        ``subnet.pth`` with them and recalibrated BN."""
        subnet = self.subnet_file(record)
        if self.trained:
            with self.whole_evaluator.recalibrated(record.arch):
                state = subnet_state_dict(self.whole_evaluator.model, record.arch)
                path = write_subnet(out_dir / 'subnet.pth', subnet, state)
        else:
            path = out_dir / 'subnet.yaml'
            subnet.write(path)
        write_arch_svg(
            out_dir / 'arch.svg',
            self.backbone.space,
            drawn_arch(self.costs, record.arch),
            self.backbone.widen_factor,
        )
        self.runner.logger.info(
            f'subnet {self.backbone.space.encode(record.arch)}  '
            f'{self.score.label}: {record.score:.4f}  {_costs_text(record)}  -> {short_path(path)}'
        )

    def subnet_file(self, record: Record) -> SubnetFile:
        """What the subnet file of an evaluated arch holds."""
        return SubnetFile(
            space=self.backbone.space.name,
            arch=record.arch,
            widen_factor=self.backbone.widen_factor,
            in_channels=self.backbone.in_channels,
            arguments=self.backbone.file_arguments,
            scores=record.metrics,
            costs=record.costs,
            seed=self.seed,
            config=self.header['config'],
        )

    def _say_what_is_searched(self) -> None:
        searcher, space = self.header['searcher'], self.backbone.space
        dataset: Any = self.quick_evaluator.loader.sampler
        self.runner.logger.info(
            f'search: {self.num_archs} archs of {space.name} by {searcher["type"]}, '
            f'{self.constraints.text()}, scored on {len(dataset)} held-out images'
        )
        self.runner.logger.info(f'score: {self.score if self.score.is_sum else self.score.label}')
        say_log_file(self.runner.logger.log_file)

    def _evaluate(self, evaluator: ArchEvaluator, progress: Progress) -> Any:
        """The evaluation of one asked batch over the ranks, and how far it has come."""

        def evaluate(archs: Sequence[Arch]) -> list[dict[str, float] | Failure]:
            before = progress.done
            evaluator.on_progress = lambda done, whole: self._show(
                progress, before + len(archs) * done / whole
            )
            started = self.clock.seconds
            results = evaluate_on_ranks(evaluator.evaluate, archs, self.backbone.sharing_key)
            self.clock.batch(self.clock.seconds - started, len(archs))
            self._show(progress, before + len(archs))
            return results

        return evaluate

    def _show(self, progress: Progress, done: float) -> None:
        best = f'{self.best_score:.4f}' if self.best_score > -math.inf else '-'
        progress.update(done, numbers=dict(best=best))
        if self.on_progress is not None:
            self.on_progress(progress.title, progress.done, progress.total, self.best_score)

    def _report(
        self, record: Record, progress: Progress, replayed: Container[tuple[str, int]]
    ) -> None:
        """Logs an evaluated arch in a line that fits a terminal, and adds it to the curves. Those
        of an earlier run go to the log file alone."""
        text, width = self.backbone.space.encode(record.arch), len(str(self.num_archs))
        name = (
            f'{record.index + 1:{width}}/{self.num_archs}'
            if record.stage == 'search'
            else 'again'.ljust(2 * width + 1)
        )
        if record.score is None:
            self.runner.logger.warning(f'{name}  arch {text}  failed: {record.error}')
            return
        self.best_score = max(record.score, self.best_score)
        numbers = (
            f'{self.score.label} {record.score:8.4f}  {_costs_text(record, False)}  '
            f'best {self.best_score:8.4f}'
        )
        self.runner.logger.info(
            f'{name}  {shortened(text, max(8, WIDTH - len(name) - len(numbers) - 4))}  {numbers}',
            extra=LOG_ONLY if (record.stage, record.index) in replayed else {},
        )
        add_record(self.runner.visualizer, self._curves(), record, self.best_score)
        self._show(progress, progress.done)

    def _curves(self) -> str:
        """What the names of the curves begin with: searches of one training have one each."""
        same = self.out_dir.resolve() == Path(self.runner.work_dir).resolve()
        return 'search' if same else self.out_dir.name


def limited_searcher(
    costs: CostTable,
    latency: Latency | None,
    searcher: dict,
    constraints: Limits | None = None,
    seed: int = 0,
    num_archs: int = NUM_ARCHS,
) -> tuple[Constraints, Searcher]:
    """The limits of a search and its searcher.

    Args:
        costs: The costs of the archs; latencies are added to them.
        latency: Latencies of the archs, or None.
        searcher, constraints, seed, num_archs: As in :class:`SearchLoop`.

    Raises:
        InputError: An unknown cost, searcher or argument, or no budget.
    """
    if latency is not None:
        latency.add_to(costs)
    limits = Constraints(costs, **constraints or {})
    return limits, build_searcher(searcher, costs.space, limits, seed, num_archs)


def search_score(score: str | dict[str, float]) -> Score:
    """What a search maximises; ``score`` as in :class:`SearchLoop`."""
    names = [score] if isinstance(score, str) else score
    return Score(score, exact=[name for name in names if name in TRAINING_FREE])


def check_scores(evaluator: ArchEvaluator) -> None:
    """:meth:`~pinas_mm.scoring.evaluator.ArchEvaluator.check`, which knows metrics alone: a part
    that is none of them may be a mistyped score that trains nothing."""
    try:
        evaluator.check()
    except InputError as error:
        known = f'; scores that train nothing are {sorted(TRAINING_FREE)}'
        unknown = ' is not among the metrics evaluated: ' in str(error)
        raise InputError(f'{error}{known if unknown else ""}') from error


def training_free_parts(
    score: Score, model: BaseModel, calibration: dict, seed: int
) -> TrainingFreeScores | None:
    """What a score has of parts that train nothing, or None.

    Args:
        score: What the search maximises.
        model: The model whose backbone is searched.
        calibration: Config of the loader whose images they see.
        seed: Seed of the images and of the weights.
    """
    names = [name for name in score.parts if name in score.exact]
    if not names:
        return None
    images = first_images(model, calibration, seed)
    return TrainingFreeScores(supernet_of(model), images, names, seed)


def build_race(race: dict | None, score: str | dict[str, float], ask_size: int) -> Race | None:
    """The race of a search, or None. Arguments as in :class:`SearchLoop`.

    Raises:
        InputError: Another argument, a score that is a sum, or a race that would drop nothing.
    """
    if race is not None and isinstance(score, str) and score in TRAINING_FREE:
        raise InputError(
            f'race: score={score!r} looks at no image of val_dataloader that a race could compare: '
            f'expected no race, or the name of a metric'
        )
    if race is not None and not isinstance(score, str):
        raise InputError(
            f'race: score={score} is a sum: expected the name of one metric, whose values of each '
            f"image a race compares, such as score='accuracy/top1'"
        )
    racing = None if race is None else Race(str(score), **race)
    if racing is not None and racing.top_k * get_world_size() >= ask_size:
        raise InputError(
            f'race: top_k={racing.top_k} of the {ask_size} archs asked at a time on '
            f'{get_world_size()} rank(s): none '
            'would ever be dropped; raise ask_size or lower top_k'
        )
    return racing


def _costs_text(record: Record, backbone: bool = True) -> str:
    """The costs of an arch, with or without those of its backbone alone."""
    latency = f'  {record.costs["latency"]:.2f} ms' if 'latency' in record.costs else ''
    of_backbone = f' ({record.costs["backbone_macs"] / 1e6:.1f} M backbone)' if backbone else ''
    return (
        f'{record.costs["macs"] / 1e6:.1f} M MACs{of_backbone}  '
        f'{record.costs["params"] / 1e6:.2f} M params{latency}'
    )
