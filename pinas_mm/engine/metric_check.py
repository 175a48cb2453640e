"""Computes the metrics of a config once, and builds its search, before anything is trained."""

import copy
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from ..costs import CostTable, measure_costs
from ..costs.latency import read_latency
from ..models.backbones import supernet_of
from ..scoring.evaluator import ArchEvaluator, autocast_dtype
from ..searching.searchers import NUM_ARCHS
from .loaders import arch_evaluation, calibration_loader, whole_set_loader
from .runner import build_supernet
from .search_config import search_config
from .search_loop import (
    ASK_SIZE,
    SCORE,
    build_race,
    check_scores,
    limited_searcher,
    search_score,
    training_free_parts,
)
from .settings_check import check_settings


def check_metrics(
    config: Config,
    phase: str,
    model: BaseModel | None = None,
    calibration: DataLoader | None = None,
    dataset: Any = None,
) -> None:
    """Whether the metrics of a config can be computed: an arch of the untrained supernet is
    evaluated on two samples (:meth:`~pinas_mm.scoring.evaluator.ArchEvaluator.check`).

    Args:
        config: A config that trains a model with a searchable backbone, supernet or subnet.
        phase: ``'val'`` or ``'test'``, whose dataloader and evaluator are meant; nothing is checked
            where the config has none.
        model, calibration, dataset: The supernet, the batches that BN is recalibrated with, and the
            dataset of that loader, where they are built already.

    Raises:
        InputError: A metric cannot be computed.
    """
    loader, evaluator = config.get(f'{phase}_dataloader'), config.get(f'{phase}_evaluator')
    if not loader or not evaluator:
        return
    init_default_scope(config.get('default_scope', 'mmengine'))
    if calibration is None:
        settings = arch_evaluation(config, training_set=True)
        calibration = calibration_loader(
            settings['calibration_dataloader'], settings['calibration_batches']
        )
    ArchEvaluator(
        model or build_supernet(config),
        calibration,
        whole_set_loader(loader if dataset is None else dict(loader, dataset=dataset)),
        lambda: Evaluator(copy.deepcopy(evaluator)),
    ).check(f'{phase}_evaluator')


def check_search(
    config: Config,
    model: BaseModel | None = None,
    calibration: DataLoader | None = None,
    dataset: Any = None,
    costs: CostTable | None = None,
) -> None:
    """Whether the search of a config can begin: its loop takes its arguments, the searcher finds an
    arch within the limits, and its metrics can be computed, as in :func:`check_metrics`.

    Args:
        config: A config with ``search_loop``.
        model, calibration, dataset: As in :func:`check_metrics`; the dataset is that of
            ``val_dataloader``.
        costs: The costs of the archs, where they are measured already.

    Raises:
        InputError: Anything that the search would refuse, but for its checkpoint and its history.
    """
    searching = search_config(config)
    check_settings(config)
    init_default_scope(config.get('default_scope', 'mmengine'))
    loop = searching.test_cfg
    seed, score = loop.get('seed', 0), loop.get('score', SCORE)
    build_race(loop.get('race'), score, loop.get('ask_size', ASK_SIZE))
    settings = arch_evaluation(
        config,
        calibration_dataloader=loop.get('calibration_dataloader'),
        calibration_batches=loop.get('calibration_batches'),
        autocast=loop.get('autocast'),
    )
    dtype = autocast_dtype(settings['autocast'])
    model = model or build_supernet(config)
    table = loop.get('latency_table')
    _, searcher = limited_searcher(
        measure_costs(model, loop['input_size']) if costs is None else copy.deepcopy(costs),
        None if table is None else read_latency(table, supernet_of(model)),
        loop['searcher'],
        loop.get('constraints'),
        seed,
        loop.get('num_archs', NUM_ARCHS),
    )
    searcher.ask(1)
    if calibration is None:
        calibration = calibration_loader(
            settings['calibration_dataloader'], settings['calibration_batches'], seed
        )
    scored = searching.test_dataloader
    whole = whole_set_loader(scored if dataset is None else dict(scored, dataset=dataset))
    whole_set_loader(
        dict(scored, dataset=whole.dataset), loop.get('score_samples'), key='score_samples'
    )
    maximised = search_score(score)
    evaluator = ArchEvaluator(
        model,
        calibration,
        whole,
        lambda: Evaluator(copy.deepcopy(searching.test_evaluator)),
        dtype,
        scores=[*maximised.parts],
        training_free=training_free_parts(
            maximised, model, settings['calibration_dataloader'], seed
        ),
    )
    check_scores(evaluator)
