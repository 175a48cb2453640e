"""Baselines that train nothing: costs, and the training-free scores. A learned ranking that does
not beat them is worth nothing."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from ..costs import CostTable
from ..errors import warn_once
from ..models.backbones import ArchBackbone
from ..spaces import Arch
from .score_corrections import sum_of_places
from .training_free import training_free_scores
from .training_free.az_nas import az_nas
from .training_free.initialisation import activations
from .training_free.registration import scores_of_any_network

SINGLE = ('depth', 'synflow', 'naswot', 'swap', 'wrcor')
# What az_nas puts together, beside MACs.
AZ_NAS = ('az_expressivity', 'az_progressivity', 'az_trainability')
# The sum of training-free scores that orders archs well on NAS-Bench-Macro and on NAS-Bench-201,
# by weight, and what a supernet's score weighs beside it (docs/results/ranking_trials.md): SWAP
# counts as much as what AZ-NAS says. Searches have the same from
# configs/_base_/search_without_training.py.
TOGETHER = dict(swap=2.0, az_trainability=1.0, az_progressivity=0.5, az_expressivity=0.5)
SUPERNET_WEIGHT = 1.0


def zero_cost_scores(
    backbone: ArchBackbone,
    archs: Sequence[Arch],
    costs: CostTable,
    images: Tensor,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, np.ndarray]:
    """All baselines of archs, higher is better.

    Args:
        backbone: A supernet; its weights are not read, a copy with fresh ones is scored.
        archs: The archs.
        costs: MACs and params of the archs.
        images: One minibatch ``(N, C, H, W)`` as the backbone gets it; 128 images as published for
            NASWOT.
        on_progress: Called as ``on_progress(done, total)`` after every arch. One initialisation is
            enough: two of them order the archs of NAS-Bench-Macro by synflow and NASWOT at a tau of
            0.98.

    Returns:
        For each baseline an array ``(len(archs), )``. ``az_nas`` ranks the archs among each other,
        and ``training-free`` is the sum of places of :data:`TOGETHER`: these depend on all of
        them. Scores that count activations are left out, with a warning, where
        the network has none.
    """
    names = [*SINGLE, *AZ_NAS]
    if not activations(backbone):
        names = [name for name in names if name in scores_of_any_network()]
        warn_once(
            f'{type(backbone).__name__} has no activation that could be counted: left out are '
            f'{[name for name in SINGLE if name not in names]}'
        )
    found = training_free_scores(backbone, archs, images, names, on_progress=on_progress)
    scores = {name: costs.array(name, archs).astype(float) for name in ('macs', 'params')}
    scores |= {name: found[name] for name in SINGLE if name in names}
    scores['az_nas'] = az_nas(scores['macs'], *(found[name] for name in AZ_NAS))
    scores['training-free'] = sum_of_places(
        {name: dead_last(values) for name, values in found.items()},
        {name: weight for name, weight in TOGETHER.items() if name in found},
    )
    return {name: dead_last(values) for name, values in scores.items()}


def with_training_free(scores: np.ndarray, baselines: Mapping[str, np.ndarray]) -> np.ndarray:
    """A supernet's scores of archs and the sum ``training-free`` of the same archs, ``(N, )``, put
    together as a search does."""
    return baselines['training-free'] + sum_of_places(
        dict(supernet=scores), dict(supernet=SUPERNET_WEIGHT)
    )


def dead_last(scores: np.ndarray) -> np.ndarray:
    """Puts archs through which nothing flows, whose logarithm is -inf, below all others."""
    alive = np.isfinite(scores)
    return np.where(alive, scores, scores[alive].min(initial=0) - 1)
