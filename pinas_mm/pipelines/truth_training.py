"""True accuracies: archs trained from scratch under one schedule, each several times, and
tested."""

import copy
import gc
import json
import logging
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS

from ..child_processes import end_with_parent
from ..console import is_quiet, muted, quiet_terminal
from ..costs import Constraints, measure_costs
from ..engine.hooks.arch_sampling_hook import ArchSamplingHook
from ..engine.run_data import data_of, without_roots
from ..engine.runner import build_runner
from ..errors import InputError
from ..fileio import read_json, write_atomic
from ..models.backbones import ArchBackbone
from ..private_api import loader_configs
from ..ranking.truth import TruthTable
from ..registry import HOOKS, MODELS, class_of, with_type_names
from ..schema import check
from ..scoring.arch_metrics import numbers
from ..settings import changed_settings, plain_settings
from ..spaces import Arch, SearchSpace

Training = tuple[Arch, int]
# What changes nothing about a training.
INCIDENTAL = ('work_dir', 'experiment_name', 'launcher', 'log_level', 'visualizer', 'vis_backends')


class TruthTrainer:
    """Trains one arch after the other from scratch as a config says, and tests each on the config's
    test set.

    A training depends on (seed, repeat, arch) alone: not on the archs trained before it, nor on the
    process that trains it. The datasets are built once. Each training's log is in a folder of its
    own.

    Args:
        config: A config of :func:`from_scratch`.
        seed: Seed of all trainings.
        score: The test metric that is the accuracy, in %.
    """

    def __init__(self, config: Config, seed: int = 0, score: str = 'accuracy/top1') -> None:
        self.config, self.seed, self.score = config, seed, score
        self.space = space_of(config)
        self.datasets: dict[str, Any] = {}

    def __call__(self, arch: Arch, repeat: int) -> float:
        """Trains ``arch`` for the ``repeat``-th time; returns its accuracy in %.

        Raises:
            InputError: The test gives no such metric.
        """
        config = copy.deepcopy(self.config)
        name = f'{self.space.encode(arch)}-{repeat}'
        config.model.backbone.arch = list(arch)
        config.merge_from_dict({'randomness.seed': training_seed(self.seed, arch, repeat)})
        config.work_dir, config.experiment_name = (
            str(Path(config.work_dir) / name),
            f'{name}_{time.time_ns()}',
        )
        runner = build_runner(config)
        # The sets are read once, not in every training.
        for loader in loader_configs(runner):
            loader['dataset'] = self._dataset(loader['dataset'])
        try:
            with muted():  # one of many
                runner.train()
                metrics = numbers(runner.test())
        finally:
            # Each training would leave a file open; and a closed one may stay with no logger:
            # mmengine writes to its stream.
            for handler in [
                handler
                for handler in runner.logger.handlers
                if isinstance(handler, logging.FileHandler)
            ]:
                runner.logger.removeHandler(handler)
                handler.close()
            # A runner is a cycle of references. Without this, a worker of the next runner would
            # free it, with the workers of its loaders.
            del runner
            gc.collect()
        if self.score not in metrics:
            raise InputError(
                f'the test gives no {self.score!r}, but {", ".join(metrics)}: choose one with '
                f'--score'
            )
        return metrics[self.score]

    def _dataset(self, config: Any) -> Any:
        key = repr(config)
        if key not in self.datasets:
            self.datasets[key] = DATASETS.build(config)
        return self.datasets[key]


def from_scratch(config: Config) -> Config:
    """The config of a subnet's training, without the arch and the weights it starts from.

    Nothing is validated in between, and no checkpoint is kept.

    Raises:
        InputError: The config does not train and test a model with a searchable backbone, trains a
            supernet, or freezes part of the backbone.
    """
    source = config.filename or 'config'
    needed = ('train_dataloader', 'train_cfg', 'optim_wrapper', 'test_dataloader', 'test_evaluator')
    missing = [name for name in needed if not config.get(name)]
    if missing or config.get('test_cfg') is None:
        raise InputError(
            f'{source}: no {", ".join(missing) or "test_cfg"}: expected a config that trains and '
            f'tests a subnet'
        )
    space_of(config)
    if any(
        issubclass(class_of(hook, HOOKS, config.get('default_scope')), ArchSamplingHook)
        for hook in config.get('custom_hooks') or []
    ):
        raise InputError(
            f'{source}: trains a supernet (ArchSamplingHook): expected a config that trains a '
            f'subnet, such as one that '
            'fine-tunes a found one'
        )
    config = copy.deepcopy(config)
    backbone = config.model.backbone
    if backbone.get('frozen_stages', -1) >= 0:
        raise InputError(
            f'{source}: frozen_stages={backbone.frozen_stages} of its backbone: expected a config '
            f'that trains all of a '
            'subnet, since archs start from scratch'
        )
    backbone.pop('init_cfg', None)
    backbone.pop('arch', None)
    config.merge_from_dict(dict(load_from=None, resume=False, log_level='WARNING'))
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    config.merge_from_dict({'default_hooks.checkpoint': None})
    # By default it has the experiment's name; where a config names it, all trainings would share
    # one.
    (config.get('visualizer') or {}).pop('name', None)
    return config


def space_of(config: Config) -> SearchSpace:
    """The space of a config's backbone.

    Raises:
        InputError: It has no searchable backbone.
    """
    backbone = (config.get('model') or {}).get('backbone') or {}
    cls = class_of(backbone, MODELS, config.get('default_scope'))
    if not issubclass(cls, ArchBackbone):
        raise InputError(
            f'{config.filename or "config"}: model.backbone of type {backbone.get("type")!r}: '
            f'expected a searchable backbone '
            'of pinas_mm'
        )
    return cls.space_of(backbone)


def training_seed(seed: int, arch: Arch, repeat: int) -> int:
    """The seed of one training, a pure function of its arguments."""
    # 31 bits: mmengine adds the number of a worker, and NumPy takes 32.
    return int(np.random.SeedSequence((seed, repeat, *arch)).generate_state(1)[0] >> 1)


def constraints_of(
    config: Config, limits: dict[str, Any], input_size: int | tuple[int, int]
) -> Constraints:
    """Limits on the costs of the archs of a config of :func:`from_scratch`. See
    :class:`Constraints` for the limits."""
    return Constraints(measure_costs(build_runner(config).model, input_size), **limits)


class TruthFile:
    """A table of true accuracies that grows with every training, and ``<name>.meta.json`` beside
    it, which says what it is of.

    Args:
        path: The table; made with its first training.
        config: The config of :func:`from_scratch`; all of it that makes a difference must be equal
            for a table to go on.
        settings: What else must be: seed, limits.

    Raises:
        InputError: The table was made with other settings, or not by this; the message says what
            differs.
    """

    def __init__(self, path: str | os.PathLike, config: Config, settings: dict[str, Any]) -> None:
        self.path, self.space = Path(path), space_of(config)
        self.meta = meta = self.path.with_suffix('.meta.json')
        settings = {
            key: value for key, value in config.to_dict().items() if key not in INCIDENTAL
        } | settings
        settings = without_roots(with_type_names(settings, config.get('default_scope')), config)
        self.settings = plain_settings(settings | dict(data=data_of(config)))
        self.trainings: dict[Arch, list[float]] = {}
        if self.path.exists():
            if not meta.exists():
                raise InputError(
                    f'{self.path} exists, but not {meta}, which would say how it was made: choose '
                    f'another --out'
                )
            found = check(dict[str, Any], read_json(meta), str(meta))
            if changes := changed_settings(found, self.settings):
                raise InputError(
                    f'{self.path}: made with other settings: {changes}; choose another --out'
                )
            table = TruthTable.read(self.path, self.space)
            self.trainings = {
                arch: list(accuracies) for arch, accuracies in table.trainings.items()
            }

    def left(self, archs: Sequence[Arch], repeats: int) -> list[Training]:
        """The trainings that are not in the table, first repeats first."""
        return [
            (arch, repeat)
            for repeat in range(repeats)
            for arch in archs
            if repeat >= len(self.trainings.get(arch, ()))
        ]

    def add(self, arch: Arch, accuracy: float) -> None:
        """Adds a training, and writes the table beside the old one before it takes its place. What
        it is of is written with the first training, so that a command that trains none binds
        nothing."""
        if not self.trainings:
            text = json.dumps(self.settings, indent=1)
            write_atomic(self.meta, lambda file: file.write(text.encode()))
        self.trainings.setdefault(arch, []).append(accuracy)
        TruthTable(self.space, self.trainings, str(self.path)).write(self.path)


def train_all(
    config: Config, trainings: Sequence[Training], seed: int, score: str, jobs: int = 1
) -> Iterator[float]:
    """The accuracies of trainings, in their order.

    Args:
        config, seed, score: See :class:`TruthTrainer`.
        trainings: Pairs of an arch and the number of its repeat.
        jobs: Processes that train at a time and share the CPU's threads. An accuracy that comes
            before one earlier in the order waits.
    """
    if jobs == 1:
        yield from map(TruthTrainer(config, seed, score).__call__, *zip(*trainings))
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(
        jobs,
        multiprocessing.get_context('spawn'),
        _start_process,
        (config, seed, score, threads, is_quiet()),
    )
    try:
        yield from pool.map(_train_in_process, *zip(*trainings))
    except BaseException:  # such as Ctrl-C: nobody waits for what still trains
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


# Of a process of the pool.
_trainer: TruthTrainer | None = None
_terminal = ExitStack()  # open to its end


def _start_process(config: Config, seed: int, score: str, threads: int, quiet: bool) -> None:
    global _trainer
    _terminal.enter_context(quiet_terminal(verbose=not quiet))
    end_with_parent()
    torch.set_num_threads(threads)
    _trainer = TruthTrainer(config, seed, score)


def _train_in_process(arch: Arch, repeat: int) -> float:
    assert _trainer is not None  # set by _start_process
    return _trainer(arch, repeat)
