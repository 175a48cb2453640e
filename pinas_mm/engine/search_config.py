"""From a config with ``search_loop`` to one whose test loop is the search."""

import copy
import os
from collections.abc import Mapping

from mmengine.config import Config
from torch import Tensor

from ..checkpoint import load_state, load_strict
from ..errors import InputError
from ..registry import LOOPS, class_of
from .runner import SafeRunner, build_runner
from .search_loop import SearchLoop


def search_config(config: Config) -> Config:
    """The config whose test loop is the search, for a Runner.

    A config keeps its three splits apart: ``train_dataloader`` is learned from, ``val_dataloader``
    is held out for search scores, ``test_dataloader`` is for the final figures alone. A Runner has
    no loop for a search. So here, in a copy, the search takes the place of the test.

    Args:
        config: It has ``search_loop``, the arguments of
            :class:`~pinas_mm.engine.search_loop.SearchLoop` with its type, ``val_dataloader`` and
            ``val_evaluator``.

    Returns:
        A copy with ``test_cfg`` of ``search_loop``, ``test_dataloader`` and ``test_evaluator`` of
        ``val_dataloader`` and ``val_evaluator``, and no validation.

    Raises:
        InputError: One of these is missing, or the search stands in ``test_cfg``.
    """
    name = config.filename or 'config'
    scope = config.get('default_scope')
    if issubclass(class_of(config.get('test_cfg'), LOOPS, scope), SearchLoop):
        raise InputError(
            f"{name}: test_cfg=dict(type='pinas_mm.SearchLoop', ...): expected the same as "
            'search_loop=dict(...), which is scored on val_dataloader by val_evaluator; test_* are '
            'the test set, as in any other config'
        )
    loop = config.get('search_loop')
    if not issubclass(class_of(loop, LOOPS, scope), SearchLoop) or 'input_size' not in loop:
        raise InputError(
            f'{name}: search_loop={loop}: not a search config: expected '
            "search_loop=dict(type='pinas_mm.SearchLoop', searcher=dict(type='partition_tree'), "
            'input_size=224, ...)'
        )
    missing = [key for key in ('val_dataloader', 'val_evaluator') if not config.get(key)]
    if missing:
        raise InputError(
            f'{name}: no {", ".join(missing)}: expected a held-out part of the training set and '
            'its metrics, which the search is scored by'
        )
    config = copy.deepcopy(config)
    config.test_cfg = config.pop('search_loop')
    config.test_dataloader, config.test_evaluator = config.val_dataloader, config.val_evaluator
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    return config


def build_search(
    config: Config,
    weights: str | os.PathLike | Mapping[str, Tensor] | None = None,
    resume: bool = False,
    kind: type[SafeRunner] = SafeRunner,
) -> SafeRunner:
    """The runner of a search with the supernet's weights: ``runner.test()`` searches.

    Args:
        config: From :func:`search_config`, with its ``work_dir``; changed in place.
        weights: Checkpoint of the supernet with its classifier, or its tensors; None for a score
            that trains nothing.
        resume: Whether to go on from the history in the work dir.
        kind: The class of the runner.

    Raises:
        InputError: Weights that do not fit, or see :func:`~.runner.build_runner`.
    """
    config.test_cfg.update(resume=resume, trained=weights is not None)
    config.load_from, config.resume = None, False
    runner = build_runner(config, kind)
    if isinstance(weights, Mapping):
        load_state(runner.model, dict(weights), 'supernet')
    elif weights is not None:
        load_strict(runner.model, weights)
    return runner
