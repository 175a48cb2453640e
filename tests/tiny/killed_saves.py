"""A training that is killed before and after every operation on a file of a save."""

import builtins
import os
import re
import shutil

from mmengine.hooks import CheckpointHook
from tiny_runner import Record
from toy_training import toy_runner

OPERATIONS = ('replace', 'rename', 'remove', 'unlink', 'fsync')


class OwnHook(CheckpointHook):
    """A user's."""


def name_of(path):
    """Without the number of a process or the hash of a published checkpoint, which vary."""
    return re.sub(r'-[0-9a-f]{8}(?=\.pth)|(?<=\.)[0-9]+(?=\.pinas_mm)', '', path.name)


def names(folder):
    """Of the files in a folder, but for the configs of its runs."""
    return {name_of(path) for path in folder.iterdir() if path.is_file() and path.suffix != '.py'}


def killed_at(count):
    """Ends this process before or after the operation of that number on a file of the work dir:
    even numbers are before."""
    numbers = iter(range(10**6))

    def step():
        if next(numbers) == count:
            os._exit(9)

    def around(function, concerns=lambda *args: True):
        def run(*args, **kwargs):
            if not concerns(*args):
                return function(*args, **kwargs)
            step()
            result = function(*args, **kwargs)
            step()
            return result

        return run

    def written(path, mode='r', *_):
        return mode in ('w', 'wb') and 'vis_data' not in str(path)

    for name in OPERATIONS:
        setattr(os, name, around(getattr(os, name)))
    builtins.open = around(open, written)


def kill_all(folder, checkpoint):
    """Kills a training in ``folder`` in its second epoch, before and after each of its operations
    on files. The work dirs that are left go to ``killed<number>`` beside it, distinct ones only,
    and the number of operations to ``operations``."""
    snapshot, states, outcome = folder.with_name('snapshot'), [], []

    def second_epoch(runner):
        if runner.epoch == 2 and outcome == ['child']:
            os._exit(0)
        if runner.epoch != 1:
            return
        shutil.copytree(folder, snapshot)
        for number in range(1000):
            process = os.fork()
            if not process:
                outcome.append('child')
                killed_at(number)
                return
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            assert code in (0, 9)
            content = {
                name_of(path): path.stat().st_size for path in folder.iterdir() if path.is_file()
            }
            if content not in states:
                shutil.copytree(folder, folder.with_name(f'killed{number}'))
                states.append(content)
            shutil.rmtree(folder)
            shutil.copytree(snapshot, folder)
            if code == 0:
                folder.with_name('operations').write_text(str(number))
                raise KeyboardInterrupt

    runner = toy_runner(folder, checkpoint=checkpoint)
    runner.register_hook(Record(before_train_epoch=second_epoch), 'VERY_HIGH')
    try:
        runner.train()
    except KeyboardInterrupt:
        pass
