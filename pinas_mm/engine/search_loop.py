"""The search as an mmengine loop: ``test_cfg = dict(type='pinas_mm.SearchLoop', ...)``."""
import inspect
import logging
import math
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import get_world_size
from mmengine.runner import BaseLoop, Runner
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

from ..checkpoint import save_checkpoint
from ..errors import InputError
from ..registry import LOOPS, SEARCHERS
from ..search.cost import Constraints, measure_costs
from ..search.evaluator import ArchEvaluator
from ..search.history import History, Record
from ..search.search import rescore, search
from ..search.searchers import EvolutionSearcher, PartitionTreeSearcher, RandomSearcher, Searcher
from ..search.subnet import subnet_state_dict
from ..spaces import SearchSpace
from ..spaces.subnet_file import SubnetFile
from .arch_loops import build_arch_evaluator
from .hooks.arch_sampling_hook import supernet_of

for _name, _searcher in dict(random=RandomSearcher, evolution=EvolutionSearcher, partition_tree=PartitionTreeSearcher).items():
    SEARCHERS.register_module(name=_name, module=_searcher)


@LOOPS.register_module()
class SearchLoop(BaseLoop):
    """Searches the supernet in the runner's model and writes ``subnet.yaml``, ``subnet.pth`` and ``history.jsonl``.

    Runs where the test loop would, after the checkpoint is loaded. The loop itself is :func:`pinas_mm.search.search.search`.

    Args:
        runner: The runner.
        dataloader: The held-out split (``test_dataloader`` of the config); disjoint from the calibration samples.
        evaluator: Metrics (``test_evaluator`` of the config).
        searcher: Config of a searcher: ``dict(type='partition_tree', ...)``, ``'evolution'`` or ``'random'``.
        calibration_dataloader: Dataloader config for BN recalibration, such as the training one.
        input_size: Height and width in pixels at which MACs are counted, or one number for both.
        num_archs: Budget, 1,000 as published.
        ask_size: Archs asked at a time, 8 as published.
        calibration_batches: Batches for BN recalibration, 49 as published.
        score: The metric that is the score, higher is better.
        constraints: Limits on costs: ``dict(macs=50e6)`` or ``dict(macs=(40e6, 50e6), params=...)``, of the whole model.
        score_samples: While searching, score on only so many of the held-out samples, drawn by ``seed``. Defaults to all.
        top_k: So many of the best are scored again on the whole held-out split before the winner is named.
        seed: Seed of the searcher and of the samples.
        resume: Whether to go on from the history in ``out_dir``.
        out_dir: Where to write. Defaults to the work dir.
        fp16: Whether to evaluate in half precision.

    Raises:
        InputError: An unknown searcher or argument, or what :func:`search` and :class:`History` raise.
    """

    def __init__(self,
                 runner: Runner,
                 dataloader: dict,
                 evaluator: dict | list,
                 searcher: dict,
                 calibration_dataloader: dict,
                 input_size: int | tuple[int, int],
                 num_archs: int = 1000,
                 ask_size: int = 8,
                 calibration_batches: int = 49,
                 score: str = 'accuracy/top1',
                 constraints: dict | None = None,
                 score_samples: int | None = None,
                 top_k: int = 10,
                 seed: int = 0,
                 resume: bool = False,
                 out_dir: str | None = None,
                 fp16: bool = False) -> None:
        if get_world_size() > 1:
            raise InputError(f'search runs on one rank, {get_world_size()} were launched')
        self.backbone = supernet_of(runner)
        self.costs = measure_costs(runner.model, input_size)
        self.constraints = Constraints(self.costs, **constraints or {})
        self.searcher = build_searcher(searcher, self.backbone.space, self.constraints, seed)
        self.num_archs, self.ask_size, self.score, self.top_k, self.seed = num_archs, ask_size, score, top_k, seed
        self.resume = resume
        self.out_dir = Path(out_dir or runner.work_dir)

        def arch_evaluator(num_samples: int | None) -> ArchEvaluator:
            return build_arch_evaluator(
                runner, dataloader, evaluator, calibration_dataloader, calibration_batches, num_samples, seed, fp16)

        self.whole_evaluator = arch_evaluator(None)
        super().__init__(runner, self.whole_evaluator.loader)
        self.quick_evaluator = self.whole_evaluator if score_samples is None else arch_evaluator(score_samples)
        self.header = dict(
            config=Path(runner.cfg.filename or '').name, seed=seed, searcher=dict(searcher), constraints=str(self.constraints),
            score=score, score_samples=score_samples, calibration_batches=calibration_batches, ask_size=ask_size, input_size=input_size,
            fp16=fp16, data=zlib.crc32(repr((dataloader['dataset'], evaluator, calibration_dataloader)).encode()))

    def run(self) -> dict[str, float]:
        """:meth:`search` between the hooks of a test; returns the winner's metrics."""
        self.runner.call_hook('before_test')
        winner = self.search()
        self.runner.call_hook('after_test_epoch', metrics=winner.metrics)
        self.runner.call_hook('after_test')
        return winner.metrics

    def search(self) -> Record:
        """Searches, scores the best again, writes the winner and returns its record.

        Ctrl-C leaves the history complete up to the last evaluated arch and is passed on.
        """
        history = History(self.out_dir / 'history.jsonl', self.backbone.space,
                          self.header | dict(supernet=weights_fingerprint(self.whole_evaluator.model)), self.resume)
        if history.records:
            self.runner.logger.info(f'{history.path}: goes on after {len(history.records)} records')
        try:
            with self._progress() as progress, _above_the_bar(self.runner.logger):
                task = progress.add_task('search', total=self.num_archs, best=-math.inf)
                records = search(
                    self.searcher, self.quick_evaluator.evaluate, history, self.num_archs, self.score, self.ask_size,
                    self.costs.arch_costs, lambda record: self._report(record, progress, task))
                if len(records) < self.num_archs:
                    self.runner.logger.warning(
                        f'the space has no more archs within {self.constraints}: {len(records)} of {self.num_archs} evaluated')
                if self.quick_evaluator is not self.whole_evaluator:
                    task = progress.add_task('top again', total=min(self.top_k, len(records)), best=-math.inf)
                    records = rescore(records, self.whole_evaluator.evaluate, history, self.score, self.top_k,
                                      lambda record: self._report(record, progress, task))
        except KeyboardInterrupt:
            self.runner.logger.warning(f'stopped; {history.path} has {len(history.records)} records, go on with --resume')
            raise
        self.winner = max(records, key=lambda record: record.score)
        self.save_subnet(self.winner, self.out_dir)
        return self.winner

    def save_subnet(self, record: Record, out_dir: Path) -> None:
        """Writes ``subnet.yaml``, and ``subnet.pth`` with the inherited weights and recalibrated BN."""
        subnet = SubnetFile(
            space=self.backbone.space.name, arch=record.arch, widen_factor=self.backbone.widen_factor, scores=record.metrics,
            costs=record.costs, seed=self.seed, config=self.header['config'])
        with self.whole_evaluator.recalibrated(record.arch):
            save_checkpoint(out_dir / 'subnet.pth', subnet_state_dict(self.whole_evaluator.model, record.arch),
                            dict(space=subnet.space, arch=list(subnet.arch), version=subnet.version))
        subnet.write(out_dir / 'subnet.yaml')
        self.runner.logger.info(
            f"subnet {self.backbone.space.encode(record.arch)}  {self.score}: {record.score:.4f}  {record.costs['macs'] / 1e6:.1f} M MACs  "
            f"{record.costs['params'] / 1e6:.2f} M params  -> {out_dir / 'subnet.yaml'}")

    def _report(self, record: Record, progress: Progress, task: Any) -> None:
        best = max(record.score, progress.tasks[task].fields['best'])
        progress.update(task, advance=1, best=best)
        self.runner.logger.info(f"{record.stage} {record.index + 1}/{self.num_archs}  arch {self.backbone.space.encode(record.arch)}  "
                                f"{self.score}: {record.score:.4f}  {record.costs['macs'] / 1e6:.1f} M MACs  best: {best:.4f}")

    @staticmethod
    def _progress() -> Progress:
        return Progress(TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn('ETA'),
                        TimeRemainingColumn(), TextColumn('best {task.fields[best]:.2f}'), transient=True)


@contextmanager
def _above_the_bar(logger: logging.Logger) -> Iterator[None]:
    """Sends log lines through the stream that the progress bar watches, so that they do not break it."""
    handlers = [handler for handler in logger.handlers if getattr(handler, 'stream', None) is sys.__stdout__]
    for handler in handlers:
        handler.setStream(sys.stdout)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(sys.__stdout__)


def build_searcher(config: dict[str, Any], space: SearchSpace, constraints: Constraints, seed: int) -> Searcher:
    """Builds a searcher from its config.

    Raises:
        InputError: An unknown type or argument; the message lists the known ones.
    """
    arguments = dict(config)
    name = arguments.pop('type', None)
    searcher = SEARCHERS.get(name) if name else None
    if searcher is None:
        raise InputError(f'searcher: unknown type {name!r}, expected one of {sorted(SEARCHERS.module_dict)}')
    known: dict[str, None] = {}
    for cls in searcher.__mro__:
        parameters = inspect.signature(cls.__init__).parameters
        known |= {key: None for key, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    known = {key: None for key in known if key not in ('self', 'space', 'feasible', 'seed')}
    unknown = sorted(arguments.keys() - known.keys())
    if unknown:
        raise InputError(f'searcher {name!r}: unknown argument(s) {unknown}, expected some of {list(known)}')
    return searcher(space, constraints, seed=seed, **arguments)


def weights_fingerprint(model: nn.Module) -> int:
    """A checksum of all tensors of a model: two searches of the same supernet have the same."""
    checksum = 0
    for tensor in model.state_dict().values():
        checksum = zlib.crc32(tensor.detach().cpu().contiguous().numpy().tobytes(), checksum)
    return checksum
