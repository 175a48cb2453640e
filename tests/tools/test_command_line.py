import argparse
import errno
import os
import runpy
import shlex
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from command_line import (
    broken_command,
    parser,
    quiet_terminal,
    read_config,
    run_tool,
    say_what_is_next,
)
from disks import as_another_user, mounted
from torch._utils import ExceptionWrapper

from pinas_mm import console
from pinas_mm.costs.latency import read_latency
from pinas_mm.errors import InputError
from pinas_mm.fileio import PART, write_atomic
from pinas_mm.pipelines import adaptation, arch_ranking, pinas
from pinas_mm.pipelines.stages import is_done
from pinas_mm.ranking import truth
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.registry import MODELS, TRANSFORMS
from pinas_mm.searching.history import read_history
from pinas_mm.spaces import get_space
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.subnets.export import read_exports

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture(autouse=True)
def local_rank(monkeypatch):
    """``read_config`` sets it for mmengine's launchers."""
    monkeypatch.setenv('LOCAL_RANK', '0')


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    'error, code, message',
    [
        (InputError('arch of length 7'), 2, 'error: arch of length 7\n'),
        (
            OSError(errno.ENOSPC, 'No space left on device', 'epoch_1.pth'),
            2,
            'error: the disk is full, what was written before is kept: [Errno 28] No space left '
            "on device: 'epoch_1.pth'\n",
        ),
        (
            FileNotFoundError(errno.ENOENT, 'No such file or directory', 'data/cifar10/train/'),
            2,
            'error: no such file: data/cifar10/train/\n',
        ),
        (
            OSError('class `LoadCachedImage` in mm.py: [Errno 28] No space left on device'),
            2,
            'error: the disk is full, what was written before is kept: class `LoadCachedImage` in '
            'mm.py: [Errno 28] No space left on device\n',
        ),
        (
            PermissionError("class `A` in a.py: [Errno 13] Permission denied: '/cache'"),
            2,
            'error: /cache: permission denied, choose a path that you can read and write\n',
        ),
        (
            IsADirectoryError(
                errno.EISDIR, os.strerror(errno.EISDIR), f'it.1{PART}', None, "it's.json"
            ),
            2,
            "error: it's.json: is a folder, expected a file\n",
        ),
        (OSError(errno.ELOOP, '', 'a'), 2, 'error: a: a symbolic link that leads to itself\n'),
        (KeyboardInterrupt(), 130, ''),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_an_exit_code(capsys, error, code, message):
    with pytest.raises(SystemExit) as exit_code:
        run_tool(raising(error))
    assert exit_code.value.code == code and capsys.readouterr().err == message


def test_sigterm_is_an_ordinary_exit(capsys):
    """So that what a tool holds is given back."""
    before, given_back = signal.getsignal(signal.SIGTERM), []

    def main():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            given_back.append(True)

    with pytest.raises(SystemExit) as exit_code:
        run_tool(main)
    assert exit_code.value.code == 143 and given_back and capsys.readouterr().err == ''
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    'error',
    [
        ValueError('a bug'),
        TypeError('unsupported operand'),
        RuntimeError(),
        KeyError('x'),
        PermissionError(errno.EACCES, ''),
        ConnectionRefusedError(errno.ECONNREFUSED, 'Connection refused'),
        OSError(errno.EIO, os.strerror(errno.EIO), 'a.pth'),
        OSError('a bug'),
    ],
)
def test_all_else_keeps_its_traceback(error):
    with pytest.raises(type(error)) as raised:
        run_tool(raising(error))
    assert raised.value is error


@TRANSFORMS.register_module()
class Cache:
    def __init__(self, folder):
        Path(folder).mkdir(parents=True, exist_ok=True)


# To a file in a folder, as the tools write; to a folder that a class of the config makes.
WAYS = dict(
    file=lambda path: write_atomic(path / 'file', lambda file: None),
    folder=lambda path: TRANSFORMS.build(dict(type='pinas_mm.Cache', folder=str(path))),
)


@pytest.mark.parametrize('write', WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    'name, named, message',
    [
        ('file', 'file', 'is a file, expected a folder'),
        ('file/below', 'file/below', 'part of this path is a file, expected a folder'),
        ('folder', 'folder/file', 'is a folder, expected a file'),
        ('closed/new', 'closed/new', 'permission denied, choose a path that you can read and'),
        ('read_only/new', 'read_only/new', 'on a read-only file system, choose a path that you'),
        ('x' * 256, 'x' * 256, 'a longer name than the file system has, choose a shorter one'),
    ],
)
def test_a_path_that_cannot_be_written_is_named(tmp_path, capsys, write, name, named, message):
    (tmp_path / 'file').touch()
    (tmp_path / 'folder/file').mkdir(parents=True)
    (tmp_path / 'closed').mkdir(mode=0o555)
    with ExitStack() as stack:
        if name.startswith('closed'):
            stack.enter_context(as_another_user())
        if name.startswith('read_only'):
            stack.enter_context(mounted(tmp_path / 'read_only', 'ro'))
        if name == 'folder' and write is not WAYS['file']:
            return  # a folder is what it wants
        with pytest.raises(SystemExit) as exit_code:
            run_tool(lambda: write(tmp_path / name))
    error = capsys.readouterr().err
    assert exit_code.value.code == 2 and error.count('\n') == 1
    assert error.startswith(f'error: {tmp_path / named}: {message}')


@TRANSFORMS.register_module()
class Ring:
    def __init__(self, size, colour=None):
        self.part = self.make(colour)

    def make(self, colour):
        return None if colour is None else Ring(1, wrong=colour)  # a bug, where there is a colour


@TRANSFORMS.register_module()
class Chain(Ring):
    def __init__(self, length=1, **kwargs):
        if length < 1:
            Ring(**kwargs, wrong=length)  # a bug
        if length > 9:
            Ring()  # a bug
        super().__init__(**kwargs)


@pytest.mark.parametrize(
    'config, message',
    [
        (
            dict(type='pinas_mm.Ring', size=1, colur='red'),
            "wrong config key of Ring: Ring.__init__() got an unexpected keyword argument 'colur'",
        ),
        (
            dict(type='pinas_mm.Ring'),
            'wrong config key of Ring: Ring.__init__() missing 1 required positional argument: '
            "'size'",
        ),
        (
            dict(type='pinas_mm.Chain', size=1, colur='red'),
            "wrong config key of Chain: Ring.__init__() got an unexpected keyword argument 'colur'",
        ),
        (
            dict(type='pinas_mm.Rinng', size=1),
            "unknown type in the config: 'pinas_mm.Rinng is not in the ",
        ),
    ],
)
def test_what_a_config_gives_a_class_wrongly_is_one_line(capsys, config, message):
    assert_refused(capsys, lambda: TRANSFORMS.build(config), message)


@pytest.mark.parametrize(
    'keys, message',
    [
        ({}, "missing 1 required positional argument: 'model'"),
        (dict(model={}, num_randm=1), "got an unexpected keyword argument 'num_randm'"),
    ],
)
def test_what_a_config_gives_a_checked_class_wrongly_is_one_line(capsys, keys, message):
    config = dict(type='pinas_mm.SandwichStrategy', **keys)
    message = f'wrong config key of SandwichStrategy: SandwichRule.__init__() {message}'
    assert_refused(capsys, lambda: MODELS.build(config), message)


def assert_refused(capsys, build, message):
    with pytest.raises(SystemExit) as exit_code:
        run_tool(build)
    error = capsys.readouterr().err
    assert exit_code.value.code == 2 and error.startswith(f'error: {message}')
    assert error.count('\n') == 1


@pytest.mark.parametrize(
    'config',
    [
        dict(type='pinas_mm.Ring', size=1, colour='red'),
        dict(type='pinas_mm.Chain', size=1, colour='red'),
        dict(type='pinas_mm.Chain', size=1, length=0),
        dict(type='pinas_mm.Chain', size=1, length=10),
    ],
)
def test_a_bug_of_the_same_wording_in_a_class_keeps_its_traceback(config):
    with pytest.raises(TypeError, match='unexpected keyword argument|missing 1 required') as error:
        run_tool(lambda: TRANSFORMS.build(config))
    assert error.traceback[-1].frame.code.path == Path(__file__)


def test_a_bug_of_the_same_wording_in_a_training_step_keeps_its_traceback(tiny):
    def step(*args, **kwargs):
        Ring(1, wrong='red')

    training = tiny.training(
        loader=tiny.digits(indices=16), custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')]
    )
    training.model.train_step = step
    with pytest.raises(TypeError, match='unexpected keyword argument') as error:
        run_tool(training.train)
    assert error.traceback[-1].name == 'step'


def test_a_bug_that_reads_like_an_unknown_type_keeps_its_traceback():
    bug = KeyError('Ring is not in the thing registry. Please check')
    with pytest.raises(KeyError) as error:
        run_tool(raising(bug))
    assert error.value is bug


class MakesFolder:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_what_any_model_loads_in_its_constructor_runs_no_code(tmp_path, monkeypatch, capsys):
    """As mmdet's distillation loads its teacher; also where the user has switched safety off."""
    torch.save(MakesFolder(tmp_path / 'hacked'), tmp_path / 'teacher.pth')
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    with pytest.raises(SystemExit) as exit_code:
        run_tool(lambda: torch.load(tmp_path / 'teacher.pth', weights_only=False))
    message = capsys.readouterr().err
    assert exit_code.value.code == 2 and not (tmp_path / 'hacked').exists()
    assert message == (
        f'error: {tmp_path}/teacher.pth: not loadable as a checkpoint of plain tensors: it names '
        f'the module posix, which could run code\n'
    )


def test_a_failure_in_a_quiet_terminal_is_seen(capsys):
    """And the terminal is as before."""
    for error, code in ((InputError('arch of length 7'), 2), (ZeroDivisionError(), None)):

        def main(error=error):
            quiet_terminal(argparse.Namespace(verbose=False))
            assert console.is_quiet()
            raise error

        with pytest.raises(SystemExit if code else ZeroDivisionError) as raised:
            run_tool(main)
        assert not console.is_quiet()
        assert code is None or raised.value.code == code
    assert capsys.readouterr().err == 'error: arch of length 7\n'


@pytest.mark.parametrize(
    'words', [['python', 'tools/test.py', 'a b.py'], [f'--key={i:030}' for i in range(9)]]
)
def test_a_broken_command_is_the_same_command(words):
    lines = broken_command(words).splitlines()
    assert max(map(len, lines)) <= 100
    assert all(line.endswith(' \\') for line in lines[:-1])
    assert shlex.split(' '.join(line.removesuffix('\\') for line in lines)) == words


def test_the_next_commands_have_paths_from_the_working_directory(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    say_what_is_next('wrote x', ('test it', ['test', 'my.py', tmp_path / 'work/epoch_1.pth']))
    said, purpose, command = capsys.readouterr().out.split('\n', 2)
    assert (said, purpose) == ('wrote x', 'next, test it:')
    assert command.replace('\\\n', '').split() == [
        'python',
        str(TOOLS / 'test.py'),
        'my.py',
        'work/epoch_1.pth',
    ]


def test_success_is_silent(capsys):
    done = []
    run_tool(lambda: done.append(1))
    assert done == [1] and capsys.readouterr() == ('', '')


def test_the_process_group_ends_with_the_tool_but_is_left_after_an_error(tmp_path):
    dist.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    with pytest.raises(SystemExit):
        run_tool(raising(InputError('arch of length 7')))
    assert dist.is_initialized()
    run_tool(lambda: None)
    assert not dist.is_initialized()


def arguments(*argv):
    return parser('x').parse_args(list(map(str, argv)))


def test_config_with_overrides_and_work_dir(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text('model = dict(b=1, c=[1, 2])\nwork_dir = None\n')
    options = ['--cfg-options', 'model.b=2', 'model.c=3,4', '--launcher', 'none']
    config = read_config(arguments(path, *options))
    assert (
        config.model == dict(b=2, c=[3, 4])
        and config.work_dir == 'work_dirs/tiny'
        and config.launcher == 'none'
    )
    assert read_config(arguments(path, '--work-dir', tmp_path / 'out')).work_dir == str(
        tmp_path / 'out'
    )
    path.write_text("model = dict(b=1)\nwork_dir = 'elsewhere'\n")
    assert read_config(arguments(path)).work_dir == 'elsewhere'
    assert read_config(arguments(path, '--work-dir', 'here')).work_dir == 'here'


@pytest.mark.parametrize(
    'text, reason',
    [
        (None, 'no such config file'),
        ('model = dict(', 'syntax|never closed'),
        ("_base_ = './missing.py'\n", 'missing.py'),
        ('lr = undefined * 2\n', 'undefined'),
        ("_base_ = './base.py'\nlr = _base_.rate\n", 'rate'),
        ("custom_imports = dict(imports=['pinas_mn'])\n", 'pinas_mn'),
    ],
)
def test_a_config_that_cannot_be_read_is_named(tmp_path, text, reason):
    path = tmp_path / 'tiny.py'
    (tmp_path / 'base.py').write_text('lr = 1\n')
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=reason) as error:
        read_config(arguments(path))
    assert str(error.value).startswith(str(path))


def test_overrides_and_files_that_are_no_config_are_named(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text('a = 1\n')
    with pytest.raises(InputError, match='tiny.py'):
        read_config(arguments(path, '--cfg-options', 'a.b=2'))
    (tmp_path / 'weights.pth').write_bytes(b'\x80')
    for wrong in (tmp_path, tmp_path / 'weights.pth'):
        with pytest.raises(InputError, match=str(wrong)):
            read_config(
                argparse.Namespace(
                    config=str(wrong), cfg_options=[], launcher='none', work_dir=None, local_rank=0
                )
            )


HELP = """
import runpy, sys
for tool in sys.argv[1:]:
    sys.argv, sys.path[0] = [tool, '--help'], tool.rpartition('/')[0]
    try:
        runpy.run_path(tool, run_name='__main__')
    except SystemExit as end:
        assert end.code == 0, tool
    heavy = {'torch', 'mmengine', 'mmcv', 'pinas_mm', 'numpy', 'scipy', 'rich'} & set(sys.modules)
    assert not heavy, f'{tool} imports {heavy}'
"""


def test_help_imports_nothing_heavy():
    tools = sorted(path for path in TOOLS.glob('*.py') if path.name != 'command_line.py')
    assert len(tools) > 10
    process = subprocess.run(
        [sys.executable, '-c', HELP, *map(str, tools)], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.count('show this help message and exit') == len(tools)


@pytest.mark.parametrize(
    'tool, name, value',
    [
        ('adapt', 'STEPS', adaptation.STEPS),
        ('pinas', 'STAGES', pinas.STAGES),
        ('rank', 'SAMPLINGS', (*truth.SAMPLINGS, arch_ranking.EQUAL_COST, 'all')),
    ],
)
def test_choices_that_a_tool_spells_are_those_of_the_library(tool, name, value):
    """It cannot read them there: its ``--help`` imports nothing of the library."""
    assert runpy.run_path(str(TOOLS / f'{tool}.py'))[name] == value


def test_a_workers_error_is_its_message_alone(capsys):
    """As torch raises it again: with the worker's traceback, and the cause's before it."""
    for kind, message in ((InputError, 'a b.jpg: no image'), (FileNotFoundError, 'c.jpg')):
        try:
            try:
                raise KeyError('img')
            except KeyError as cause:
                raise kind(message) from cause
        except kind:
            wrapped = ExceptionWrapper(where='in DataLoader worker process 0')
        with pytest.raises(SystemExit) as exit_code:
            run_tool(wrapped.reraise)
        expected = message if kind is InputError else f'no such file: {message}'
        assert exit_code.value.code == 2 and capsys.readouterr().err == f'error: {expected}\n'


@pytest.mark.parametrize(
    'name, content, read',
    [
        ('subnet.yaml', 'a: &a [x, x]\nspace: *a\n', SubnetFile.read),
        (
            'history.jsonl',
            '{"space": "nasbench_macro"}\n{}\n{"spent": 1, "searcher": {}}\n',
            lambda path: read_history(path, get_space('nasbench_macro')),
        ),
        (
            'truth.json',
            '{"00000000": NaN}',
            lambda path: TruthTable.read(path, get_space('nasbench_macro')),
        ),
        ('latency.json', '[' * 10**5, lambda path: read_latency(path, None)),
        ('stage.json', '{"config": 3}', lambda path: is_done(path.parent)),
        ('export.json', '[]', read_exports),
    ],
)
def test_a_wrong_file_is_one_line_and_exit_code_2(tmp_path, capsys, name, content, read):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(SystemExit) as error:
        run_tool(lambda: read(path))
    said = capsys.readouterr().err
    assert error.value.code == 2 and said.startswith(f'error: {path}') and said.count('\n') == 1
    path.unlink()
    os.mkfifo(path)  # not waited for
    with pytest.raises(SystemExit) as error:
        run_tool(lambda: read(path))
    assert error.value.code == 2 and 'expected a file' in capsys.readouterr().err
