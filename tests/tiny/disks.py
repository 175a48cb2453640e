"""Small and read-only disks, and a process that may not write everywhere."""

import os
import resource
import shutil
import subprocess
from contextlib import contextmanager

import pytest


@contextmanager
def mounted(folder, options):
    """A file system in memory at a folder, with options of ``mount`` such as ``size=4m``; the test
    is skipped where this is not allowed."""
    folder.mkdir(exist_ok=True)
    if shutil.which('mount') is None:
        pytest.skip('no command mount')
    command = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f'mounting is not allowed here: {made.stderr.strip()}')
    try:
        yield folder
    finally:
        subprocess.run(['umount', '-l', str(folder)], check=True)


@contextmanager
def no_file_above(size):
    """Writing more than so many bytes to a file fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def as_another_user():
    """root may write anywhere."""
    user = os.geteuid()
    if not user:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
