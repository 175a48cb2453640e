"""Two ranks of which rank 1 stops, for test_lost_ranks.py."""

import os
import signal
from datetime import timedelta

import tiny_search
import torch
import torch.distributed as dist
from command_line import run_tool
from mmengine.dist import all_reduce

from pinas_mm import lost_ranks
from pinas_mm.lost_ranks import watch_ranks

TIMEOUT, GRACE = 4, 3


def short(rank, folder):
    """The same ranks, with less patience."""
    dist.destroy_process_group()
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/short',
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=TIMEOUT),
    )
    lost_ranks.GRACE = GRACE
    watch_ranks(TIMEOUT)


def search(rank, folder):
    """Rank 1 stops in its third asked batch."""
    short(rank, folder)
    run_tool(lambda: tiny_search.rank(rank, folder, 3, signal.SIGSTOP))


def train(rank, folder, number):
    """Gradients are averaged, iteration after iteration; rank 1 gets a signal in the third."""

    def main():
        for iteration in range(5):
            if iteration == 2 and rank == 1:
                os.kill(os.getpid(), number)
            all_reduce(torch.ones(3))
            (folder / f'iterations{rank}').write_text(str(iteration + 1))

    short(rank, folder)
    run_tool(main)


def both_fail(rank, folder):
    """With a bug of their own: nobody is lost."""

    def main():
        raise ZeroDivisionError

    short(rank, folder)
    run_tool(main)
