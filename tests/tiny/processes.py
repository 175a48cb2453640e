"""Processes that start at once: everything slow to import is imported once for all of them.

Python's fork server imports it when the first process starts, about 6 s; every further process is a
fork of it. The server runs nothing else, so no thread pool of a test is forked."""

import multiprocessing
import traceback
from pathlib import Path

import torch
import torch.distributed as dist

IMPORTED = [
    'matplotlib.backends.backend_agg',
    'mmpretrain.datasets',
    'mmpretrain.engine',
    'mmpretrain.evaluation',
    'mmpretrain.models',
    'mmpretrain.visualization',
    'pinas_mm.engine',
    'pinas_mm.pipelines',
    'pinas_mm.strategies',
    'pymoo.util.nds.non_dominated_sorting',
    'sklearn.datasets',
]


def start(function, folder, name, *args):
    """``function(*args)`` in a process of its own; a traceback goes to ``folder/name.txt``."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(target=_run, args=(function, folder / f'{name}.txt', args))
    process.start()
    return process


def finish(processes, timeout=240):
    """Waits for the processes, ends those that take too long, and returns the exit codes."""
    try:
        for process in processes:
            process.join(timeout)
        return [process.exitcode for process in processes]
    finally:
        for process in processes:
            process.kill()


def is_running(pid):
    """Whether a process of any parent runs. One that nobody has waited for yet is none."""
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != 'Z'


def two_ranks(function, folder, *args):
    """Starts ``function(rank, *args)`` on two ranks of one gloo group, and returns the
    processes."""
    rendezvous = folder / 'rendezvous'
    return [start(_rank, folder, rank, function, rendezvous, rank, args) for rank in range(2)]


def on_two_ranks(function, folder, *args):
    """Runs ``function(rank, *args)`` on two ranks to the end."""
    codes = finish(two_ranks(function, folder, *args))
    assert codes == [0, 0], '\n'.join(path.read_text() for path in Path(folder).glob('[01].txt'))


def _rank(function, rendezvous, rank, args):
    dist.init_process_group('gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=2)
    function(rank, *args)
    dist.destroy_process_group()


def _run(function, report, args):
    torch.set_num_threads(1)
    try:
        function(*args)
    except BaseException:
        report.write_text(traceback.format_exc())
        raise
