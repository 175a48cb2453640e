"""Computes the metrics of a config once, before anything is trained."""

import copy

from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope

from ..scoring.evaluator import ArchEvaluator
from .loaders import arch_evaluation, calibration_loader, whole_set_loader
from .runner import build_supernet


def check_metrics(
    config: Config, phase: str, score: str | None = None, model: BaseModel | None = None
) -> None:
    """Whether the metrics of a config can be computed: an arch of the untrained supernet is
    evaluated on two samples (:meth:`~pinas_mm.scoring.evaluator.ArchEvaluator.check`).

    Args:
        config: A config that trains a model with a searchable backbone, supernet or subnet.
        phase: ``'val'`` or ``'test'``, whose dataloader and evaluator are meant; nothing is checked
            where the config has none.
        score: The metric that must be among them.
        model: The supernet, where there is one already.

    Raises:
        InputError: A metric cannot be computed, or none gives the score.
    """
    loader, evaluator = config.get(f'{phase}_dataloader'), config.get(f'{phase}_evaluator')
    if not loader or not evaluator:
        return
    init_default_scope(config.get('default_scope', 'mmengine'))
    settings = arch_evaluation(config, training_set=True)
    ArchEvaluator(
        model or build_supernet(config),
        calibration_loader(settings['calibration_dataloader'], settings['calibration_batches']),
        whole_set_loader(loader),
        lambda: Evaluator(copy.deepcopy(evaluator)),
    ).check(score, f'{phase}_evaluator')
