"""Processes that hold locks, for test_folder_lock.py."""

import signal

import torch.distributed as dist

from pinas_mm.errors import InputError
from pinas_mm.folder_lock import LOCK, held, hold


def hold_and_wait(folder):
    hold(folder)
    (folder.parent / 'held').touch()
    signal.pause()


def hold_on_ranks(rank, folder):
    """One that another process has, and one that is free."""
    try:
        hold(folder / 'work')
    except InputError as error:
        (folder / f'refused{rank}').write_text(str(error))
    with held(folder / 'free'):
        (folder / f'free{rank}').write_text(str(int((folder / 'free' / LOCK).exists())))
        dist.barrier()


def ring(folder, times):
    """Counts in a file, one process at a time."""
    done = 0
    while done < times:
        try:
            with held(folder):
                count = folder / 'count'
                value = int(count.read_text()) if count.exists() else 0
                count.write_text(str(value + 1))
                done += 1
        except InputError:
            pass  # others had it for a whole second
