"""Processes that end with the one that started them."""

import multiprocessing
import os
import signal
import sys
import threading


def exit_at_sigterm() -> None:
    """Makes SIGTERM an ordinary exit with code 143, so that :func:`subprocess.run` ends what it
    started. The tools have it by themselves (``tools/command_line.py``)."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def end_with_parent() -> None:
    """Lets this process, and those it started, end with its parent, however that ends: also by
    SIGKILL. To be called first in a process of :mod:`multiprocessing`, such as by the
    ``initializer`` of a pool.

    A process of a pool would wait for ever: it holds both ends of the pipe that work comes through.
    Here a thread waits for the end of a pipe that the parent alone holds. SIGTERM ends this process
    in the same way, and Ctrl-C, which a terminal sends to all, is left to the parent.

    Raises:
        RuntimeError: This process was not started by :mod:`multiprocessing`.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError('end_with_parent: expected a process that multiprocessing started')

    def wait() -> None:
        parent.join()
        _end()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: _end())
    threading.Thread(target=wait, name='end_with_parent', daemon=True).start()


def _end() -> None:
    """Ends at once: what runs in the main thread is of no use to anybody, and may not come back."""
    for child in multiprocessing.active_children():  # such as the workers of a loader
        child.kill()
    os._exit(1)
