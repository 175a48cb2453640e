"""Runs a tool in a process that kills itself at one of its writes."""

import contextlib
import json
import os
import re
import runpy
import stat
import sys
import traceback
from functools import partial
from pathlib import Path

import mmengine.runner.runner
from yapf.yapflib import yapf_api

import pinas_mm.fileio

TOOLS = Path(__file__).parents[2] / 'tools'
KILLED = 137  # as a shell says of SIGKILL
# What changes the names or the content of files, and what makes them last.
CALLS = ('replace', 'rename', 'link', 'unlink', 'remove', 'mkdir', 'rmdir', 'truncate', 'fsync')
# mmengine's logs are no files of ours, and their names are times.
LOGS = re.compile(r'(^|/)\d{8}_\d{6}(/|$)|\.log$')
# The number of the process in the name of a part.
PROCESS = re.compile(r'\.\d+(\.pinas_mm\.part)$')


def run_tool(arguments, folder, report, kill=None):
    """A tool, as ``python tools/...`` runs it, in ``folder``. Its exit code, output and events go
    to ``report``.

    Args:
        arguments: The command line, the tool's file name first.
        folder: The working directory; what is written below it counts.
        report: A JSON file outside of it.
        kill: At which event the process ends, as if by SIGKILL: nothing that is in a buffer is
            written, no ``finally`` runs, locks are left.
    """
    # mmengine lays out a config's text and asks for the compilers' versions at every run, which
    # takes longer than the rest here.
    yapf_api.FormatCode = lambda text, **style: (text, True)
    mmengine.runner.runner.collect_env = dict
    os.chdir(folder)
    sys.argv = list(map(str, arguments))
    output = open(report.with_suffix('.txt'), 'w')
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    events = Events(folder, kill)
    events.install()
    code = 0
    try:
        runpy.run_path(str(TOOLS / arguments[0]), run_name='__main__')
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    report.write_text(json.dumps(dict(code=code, events=events.seen)))


class Events:
    """The writes of this process below a folder: each is an event before it and one after it, and
    where a file is synced, one with its end missing, as a kill within the write leaves it."""

    def __init__(self, folder, kill):
        self.folder, self.kill = os.path.realpath(folder), kill
        self.seen = []  # what, and the state of the folder at that moment
        self.busy = False
        self.fsync, self.truncate = os.fsync, os.ftruncate

    def install(self):
        for name in CALLS:
            setattr(os, name, partial(self.call, name, getattr(os, name)))
        write_atomic = pinas_mm.fileio.write_atomic
        wrapped = partial(self.call, 'write_atomic', write_atomic)
        for module in list(sys.modules.values()):
            if getattr(module, 'write_atomic', None) is write_atomic:
                module.write_atomic = wrapped

    def call(self, name, function, *args, **kwargs):
        path = self.path_of(args[0], kwargs)
        if path is None or self.busy:
            return function(*args, **kwargs)
        self.event(f'before {name} {path}')
        if name == 'fsync' and stat.S_ISREG(os.fstat(args[0]).st_mode):
            self.event(f'torn {path}', torn=args[0])
        result = function(*args, **kwargs)
        self.event(f'after {name} {path}')
        return result

    def path_of(self, target, kwargs):
        """The path below the folder, None for any other."""
        if isinstance(target, int):
            target = os.readlink(f'/proc/self/fd/{target}')
        elif kwargs.get('dir_fd') is not None:
            target = os.path.join(os.readlink(f'/proc/self/fd/{kwargs["dir_fd"]}'), target)
        parent, name = os.path.split(os.path.abspath(target))
        path = os.path.join(os.path.realpath(parent), name)
        if not path.startswith(self.folder + os.sep):
            return None
        return PROCESS.sub(r'\1', os.path.relpath(path, self.folder))

    def event(self, what, torn=None):
        if len(self.seen) == self.kill:
            if torn is not None:
                self.truncate(torn, max(0, os.fstat(torn).st_size - 7))
            os._exit(KILLED)
        self.busy = True
        try:
            self.seen.append((what, 'torn' if torn is not None else state_of(self.folder)))
        finally:
            self.busy = False


def state_of(folder):
    """Names, sizes and times of all files of a folder, which tell one state from the one before."""
    found = []
    for path in sorted(Path(folder).rglob('*')):
        name = PROCESS.sub(r'\1', str(path.relative_to(folder)))
        if LOGS.search(name):
            continue
        with contextlib.suppress(FileNotFoundError):
            state = path.lstat()
            found.append((name, *(() if path.is_dir() else (state.st_size, state.st_mtime_ns))))
    return str(hash(str(found)))
