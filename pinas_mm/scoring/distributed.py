"""Shares the archs of an evaluation among ranks."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, get_rank, get_world_size

from ..lost_ranks import wait_for_ranks
from ..searching.search import Evaluate, Failure
from ..spaces import Arch


def evaluate_on_ranks(
    evaluate: Evaluate, archs: Sequence[Arch], sharing_key: Callable[[Arch], Any]
) -> list[dict[str, float] | Failure]:
    """Evaluates archs, each rank a share of them, and gives all results to every rank.

    Args:
        evaluate: Evaluates a share.
        archs: The archs, equal on all ranks.
        sharing_key: Of the backbone. Neighbours in its order share most, and stay together.

    Raises:
        RuntimeError: Another rank raised, or was given other archs.
        LostRankError: Another rank has ended or hangs.
    """
    if get_world_size() == 1:
        return list(evaluate(archs))
    order = sorted(range(len(archs)), key=lambda index: sharing_key(archs[index]))
    share = [int(i) for i in np.array_split(order, get_world_size())[get_rank()]]
    mine, own_error = {}, None
    try:
        mine = dict(zip(share, evaluate([archs[i] for i in share]), strict=True)) if share else {}
    except Exception as error:  # the others wait to hear from this rank
        own_error = error
    wait_for_ranks()
    everyone = all_gather_object(
        (list(archs), mine, own_error and f'{type(own_error).__name__}: {own_error}')
    )
    if own_error is not None:
        raise own_error
    for rank, (others, _, message) in enumerate(everyone):
        if message is not None:
            raise RuntimeError(f'rank {rank} stopped with {message}')
        if others != list(archs):
            raise RuntimeError(
                f'rank {rank} was asked to evaluate other archs: the searchers do not agree'
            )
    results = {index: result for _, theirs, _ in everyone for index, result in theirs.items()}
    return [results[index] for index in range(len(archs))]
