"""Ranks wait for each other, but not for ever, and say which one is missing."""

import re
import weakref
from datetime import timedelta

import torch.distributed as dist

# Seconds that a rank may take longer than the first one, torch's own limit for gloo. Ranks evaluate
# shares of unequal cost, and one of them writes files while the others wait. A config states
# another one as mmengine has it: env_cfg.dist_cfg.timeout.
TIMEOUT = 1800
# Seconds that ranks have to come together after a collective failed. It fails on all of them: a
# rank that gives up closes its connections.
GRACE = 30


class LostRankError(RuntimeError):
    """A rank hangs, or has ended."""


class _Waiting:
    """The ranks of the process group that is there now, and how long they wait.

    Groups are referred to weakly: torch keeps them, and one that outlives torch's own end of it
    aborts Python as it shuts down."""

    def __init__(self, timeout: float) -> None:
        self.world, self.timeout = weakref.ref(dist.group.WORLD), timeout
        # One of its own: after a failure, the connections of the others cannot be used. And NCCL
        # cannot tell which rank it waits for.
        self.group = weakref.ref(dist.new_group(backend='gloo', timeout=timedelta(seconds=timeout)))


_waiting: _Waiting | None = None


def watch_ranks(timeout: float | None = None) -> None:
    """Lets :func:`wait_for_ranks` and :func:`lost_rank` know the ranks. To be called by every rank
    once its process group has started; nothing is done where there is one rank.

    Args:
        timeout: Seconds that a rank may take longer than the first one (default: 1800).
    """
    global _waiting
    if not dist.is_initialized() or dist.get_world_size() == 1:
        _waiting = None
    elif _waiting is None or _waiting.world() is not dist.group.WORLD:
        _waiting = _Waiting(TIMEOUT if timeout is None else timeout)


def wait_for_ranks() -> None:
    """Waits until every rank is here. To be called by every rank before a collective that follows
    on long work.

    Raises:
        LostRankError: One has not come in time; the message of the first rank names it.
    """
    watch_ranks()
    if _waiting is not None:
        _meet(_waiting, _waiting.timeout)


def lost_rank(error: BaseException) -> LostRankError | None:
    """The error that names the rank that a collective has failed for; None for another error.

    Every rank that a failed collective leaves should ask: they look for each other.

    Args:
        error: What a collective raised.
    """
    if _waiting is None or _waiting.world() is not dist.group.WORLD or not dist.is_initialized():
        return None
    if not isinstance(error, dist.DistError) and 'gloo' not in str(error):
        return None
    try:
        _meet(_waiting, GRACE)
    except LostRankError as lost:
        return lost
    return None


def _meet(waiting: _Waiting, timeout: float) -> None:
    try:
        dist.monitored_barrier(waiting.group(), timedelta(seconds=timeout), wait_all_ranks=True)
    except RuntimeError as error:
        text = ' '.join(str(error).split())
        found = re.search(r'[Rr]anks? ([\d, ]*\d) failed to pass', text)
        if found is not None:
            name = f'rank {found[1]}'
        elif dist.get_rank() > 0:
            name = 'rank 0, whose own last line says which one it misses,'
        else:  # a connection was closed
            name = 'rank 1' if dist.get_world_size() == 2 else 'a rank'
        raise LostRankError(
            f'{name} has ended, or has not answered for {timeout:g} s and hangs '
            f'(env_cfg.dist_cfg.timeout is the limit)'
        ) from error
