"""What a tool leaves in its work dir: no lock, and nothing that binds before the first result.

Each tool gets wrong commands, one after the other, then the corrected one in the same folder."""

import json
import os
import runpy
import signal
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from tiny_dsnas import dsnas
from tiny_runner import classifier, digits, four_views, pinas

import pinas_mm  # noqa: F401
from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.folder_lock import hold
from pinas_mm.ranking import consistency
from pinas_mm.scoring.evaluator import ArchEvaluator
from pinas_mm.spaces import get_space
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.subnets import export
from pinas_mm.subnets.state_dict import subnet_state_dict

TOP = Path(__file__).parents[2]
SPACE = get_space('nasbench_macro')
WIDTH, FOUND = 0.125, (0, 1, 2, 0, 1, 2, 0, 0)


def model(**backbone):
    config = classifier(widen_factor=WIDTH, **backbone)
    config['head']['in_channels'] = 160
    return config


def accuracy():
    return dict(type='Accuracy', topk=(1,))


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Small configs of every tool, the checkpoints they begin with, and the folder of them."""
    folder = tmp_path_factory.mktemp('files')
    init_default_scope('mmpretrain')
    training = dict(
        default_scope='mmpretrain',
        custom_imports=dict(imports=['pinas_mm']),
        randomness=dict(seed=0),
        model=model(),
        train_dataloader=digits(indices=32, drop_last=True),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05)),
    )
    testing = {}
    for part, split in (('val', 'held_out'), ('test', 'test')):
        testing |= {
            f'{part}_dataloader': digits(split, indices=16),
            f'{part}_evaluator': accuracy(),
            f'{part}_cfg': {},
        }
    calibration = dict(arch_evaluation=dict(calibration_dataloader=digits(), calibration_batches=1))
    sampling = dict(custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')])
    loop = dict(
        type='pinas_mm.SearchLoop', searcher=dict(type='random'), num_archs=2, input_size=32
    )
    linear = training | testing | calibration | sampling | dict(val_cfg=None)
    linear |= dict(val_dataloader=None, val_evaluator=None)
    searching = training | testing | calibration | dict(search_loop=loop)
    subnet = training | testing | dict(model=model(arch=list(FOUND)))
    configs = dict(
        linear=linear,
        search=searching,
        subnet=subnet,
        learn=training
        | dict(
            model=pinas(
                backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=WIDTH),
                neck=dict(pinas()['neck'], in_channels=160),
            ),
            train_dataloader=four_views(indices=32, drop_last=True),
            custom_hooks=[dict(type='pinas_mm.EpochSeedHook')],
        ),
        adapt=training
        | testing
        | dict(
            supernet_stage=sampling, search_loop=dict(loop, calibration_batches=1), subnet_stage={}
        ),
    )
    configs['linear'] = configs['linear'] | dict(val_cfg=None)
    for name, config in configs.items():
        Config(config).dump(str(folder / f'{name}.py'))
    dsnas(folder, epochs=2, search=1, warm_up=0).dump(str(folder / 'dsnas.py'))
    torch.manual_seed(0)
    supernet = MODELS.build(model())
    save_checkpoint(folder / 'supernet.pth', supernet.state_dict(), {})
    SubnetFile(space=SPACE.name, arch=FOUND, widen_factor=WIDTH).write(folder / 'found.yaml')
    save_checkpoint(folder / 'found.pth', subnet_state_dict(supernet, FOUND), {})
    later = {key: value + 1 for key, value in subnet_state_dict(supernet, FOUND).items()}
    save_checkpoint(folder / 'later.pth', later, {})
    truth = {SPACE.encode(arch): [50.0 + sum(arch)] for arch in archs(40)}
    (folder / 'truth.json').write_text(json.dumps(truth))
    return folder


def archs(count):
    return [
        tuple(int(digit) for digit in f'{index:08d}')
        for index in range(10**5)
        if set(f'{index:08d}') <= set('012')
    ][:count]


def commands(files, out):
    """By tool: the right command, and what makes it a wrong one."""
    work = ['--work-dir', out]
    overrides = '--cfg-options'
    wrong_training = [
        [overrides, 'optim_wrapper.optimizer.lrr=0.1'],
        [overrides, 'train_dataloader.dataset.split=lost'],
        [overrides, 'model.head.num_classes=3'],
    ]
    pipeline = [files / f'{name}.py' for name in ('learn', 'linear', 'search', 'subnet')]
    return dict(
        train=([files / 'subnet.py', *work], wrong_training),
        search=(
            [files / 'search.py', files / 'supernet.pth', *work],
            [
                [overrides, 'search_loop.num_arch=3'],
                [overrides, 'val_dataloader.dataset.split=lost'],
                [overrides, 'search_loop.score=accuracy/top5'],
                [overrides, 'val_evaluator.0.topk=(1,20)'],
            ],
        ),
        pinas=(
            [*pipeline, *work],
            [
                ['--learn.optim_wrapper.optimizer.lrr=0.1'],
                ['--learn.train_dataloader.dataset.split=lost'],
                ['--search.search_loop.score=accuracy/top5'],
                ['--finetune.val_evaluator.0.type=Acuracy'],
            ],
        ),
        adapt=(
            [files / 'adapt.py', '--supernet', files / 'supernet.pth', '--until', 'subnet', *work],
            [*wrong_training, [overrides, 'search_loop.score=accuracy/top5']],
        ),
        dsnas=([files / 'dsnas.py', *work], [*wrong_training, [overrides, 'test_evaluator.0.k=1']]),
        make_truth=(
            [files / 'subnet.py', '--out', out / 'truth.json', '--archs', 2, *work],
            [*wrong_training, ['--score', 'mIoU', '--constraints', 'macs=1', '--input-size', 32]],
        ),
        rank=(
            [files / 'search.py', files / 'supernet.pth', '--truth', files / 'truth.json']
            + ['--archs', 12, *work],
            [
                [overrides, 'arch_evaluation.calibration_batch=3'],
                [overrides, 'val_dataloader.dataset.split=lost'],
                ['--scores', 'mIoU'],
            ],
        ),
        consistency=(
            [files / 'search.py', files / 'supernet.pth', '--archs', 2, '--images', 16, *work],
            [
                [overrides, 'model.head.channels=3'],
                [overrides, 'train_dataloader.dataset.split=lost'],
                ['--images', 4096],
            ],
        ),
        export=(
            [files / 'found.yaml', '--out', out],
            [
                ['--config', files / 'none.py'],
                ['--checkpoint', files / 'none.pth'],
                ['--checkpoint', files / 'supernet.pth'],
                ['--checkpoint', files / 'later.pth', '--input-size', 1],
            ],
        ),
    )


# A change with which a command runs, and that binds it where there is a result.
OTHER = dict(
    {
        name: ['--cfg-options', 'optim_wrapper.optimizer.lr=0.5']
        for name in ('train', 'adapt', 'dsnas', 'make_truth', 'pinas')
    },
    search=['--cfg-options', 'search_loop.seed=7'],
    rank=['--seed', 7],
    consistency=['--seed', 7],
    export=['--checkpoint', '{}/later.pth'],
)
TOOLS = list(OTHER)


class BeginsError(BaseException):
    """A tool has come to its first iteration."""


@pytest.fixture
def begin_with(monkeypatch):
    """Lets the first iteration of any tool raise an error."""

    def begin_with(error):
        def raising(*args, **kwargs):
            raise error

        def call_hook(self, name, **kwargs):
            if name == 'before_train_iter':
                raise error
            return called(self, name, **kwargs)

        called = Runner.call_hook
        monkeypatch.setattr(Runner, 'call_hook', call_hook)
        monkeypatch.setattr(ArchEvaluator, 'evaluate', raising)
        monkeypatch.setattr(consistency, 'measure_consistency', raising)
        monkeypatch.setattr(export, 'export_program', raising)

    return begin_with


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a tool in this process; returns its exit code and its last line of errors."""

    def run(tool, *arguments):
        monkeypatch.setattr(sys, 'argv', [f'{tool}.py', *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(TOP / f'tools/{tool}.py'), run_name='__main__')
        except SystemExit as error:
            code = error.code
        except Exception as error:
            return 1, repr(error)
        return code, ([''] + capsys.readouterr().err.strip().splitlines())[-1]

    return run


@pytest.mark.slow
@pytest.mark.parametrize('tool', TOOLS)
def test_a_corrected_command_is_accepted_in_the_same_folder(
    tool, files, tmp_path, run, begin_with, monkeypatch
):
    out = tmp_path / 'out'
    right, changes = commands(files, out)[tool]
    for change in changes:
        code, error = run(tool, *right, *change)
        assert code in (1, 2) and 'another' not in error, (change, error)
    other = [str(part).format(files) for part in OTHER[tool]]
    with monkeypatch.context() as patch:
        begin_with(RuntimeError('no memory'))
        code, error = run(tool, *right, *other)
        assert code in (1, 2) and 'no memory' in error, error
        patch.undo()
    monkeypatch.undo()
    begin_with(KeyboardInterrupt())
    assert run(tool, *right, *other)[0] == 130
    assert not list(tmp_path.rglob('.*lock'))
    if tool in ('rank', 'consistency', 'export', 'make_truth'):
        assert not [path for path in tmp_path.rglob('*.*') if path.suffix not in ('.log', '.py')]
    if tool == 'export':
        assert not out.exists()
    monkeypatch.undo()
    begin_with(BeginsError())
    with pytest.raises(BeginsError):
        run(tool, *right)


@pytest.mark.slow
@pytest.mark.parametrize('tool', [*TOOLS, 'latency', 'convert', 'digit_scenes'])
def test_no_tool_writes_beside_another(tool, files, tmp_path, run):
    out = tmp_path / 'out'
    others = dict(
        latency=[files / 'search.py', '--images', 1, 3, 32, 32, '--out', tmp_path / 'out'],
        convert=[files / 'supernet.pth', tmp_path / 'out'],
        digit_scenes=[tmp_path / 'out', '--train', 1],
    )
    right = others.get(tool) or commands(files, out)[tool][0]
    pid = os.fork()
    if pid == 0:
        try:
            hold(out if tool in TOOLS else tmp_path, None if tool in TOOLS else 'out')
            (tmp_path / 'held').touch()
            signal.pause()
        finally:
            os._exit(1)
    try:
        while not (tmp_path / 'held').exists():
            assert os.waitpid(pid, os.WNOHANG) == (0, 0)
        before = sorted(tmp_path.rglob('*'))
        code, error = run(tool, *right)
        assert code == 2 and f'out: process {pid} on ' in error and ' writes it: ' in error, error
        assert sorted(tmp_path.rglob('*')) == before
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_every_tool_is_here():
    tools = {path.stem for path in (TOP / 'tools').glob('*.py')}
    # These write no result, or only logs, or what does not depend on who writes it.
    assert tools - {*TOOLS, 'latency', 'convert', 'digit_scenes', 'report'} == {
        'command_line', 'generate_configs', 'space', 'test',
    }  # fmt: skip
