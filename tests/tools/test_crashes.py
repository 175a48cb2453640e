"""Every tool is killed before and after its writes, and goes on to what it writes undisturbed.

A kill is ``os._exit`` in the process itself: no buffer is written, no ``finally`` runs. Moments
between which nothing changes on the disk are one moment (a file that is there and not yet synced is
the same to a process that is killed; only a power cut tells them apart). Of the others all are
tried for small tools. For the others there are as many as ``MOST`` says, one of each stretch, drawn
by a seed. ``PINAS_MM_ALL_CRASHES=1`` tries all of every tool, which takes more than an hour, most
of it for ``pinas``.

Each tool's line in the output says how many writes it has, how many moments these are, and how many
were tried. ``pytest -rP`` shows it.
"""

import json
import os
import re
import shutil
from pathlib import Path

import crashes
import numpy as np
import pytest
import tiny_dsnas
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from processes import finish, start
from tiny_runner import classifier, digits, held_out_and_test, randomise

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.spaces import get_space
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.subnets.state_dict import subnet_state_dict
from pinas_mm.subnets.write import write_subnet

pytestmark = pytest.mark.slow

ALL = bool(os.environ.get('PINAS_MM_ALL_CRASHES'))
MOST = dict(
    pinas=2, adapt=5, dsnas=12, rank=2, export=4, digit_scenes=8, search=15, train=15, make_truth=10
)
TOP = Path(__file__).parents[2]
QUICKSTART = TOP / 'configs/quickstart'
ARCH = (2, 0, 1, 2, 0, 1, 2, 0)
# The command of each tool, and what a second start has beside it.
COMMANDS = dict(
    train=(['train.py', 'train.py', '--work-dir', 'work'], ['--resume']),
    search=(['search.py', 'tiny.py', 'supernet.pth', '--work-dir', 'work'], ['--resume']),
    pinas=(
        ['pinas.py', 'learn.py', 'linear.py', 'search.py', 'finetune.py', '--work-dir', 'work'],
        [],
    ),
    adapt=(
        [
            'adapt.py',
            'tiny.py',
            '--supernet',
            'supernet.pth',
            '--work-dir',
            'work',
            '--until',
            'subnet',
        ],
        [],
    ),
    dsnas=(['dsnas.py', 'dsnas.py', '--work-dir', 'work'], []),
    make_truth=(
        'make_truth.py subnet.py --out work/table.json --archs 2 --repeats 1 '
        '--work-dir work/runs'.split(),
        [],
    ),
    rank=(
        'rank.py tiny.py supernet.pth --truth truth.csv --archs 10 --few-truths 0 '
        '--sampling uniform --plot work/ranking.png --work-dir work'.split(),
        [],
    ),
    consistency=(
        'consistency.py tiny.py supernet.pth --archs 3 --images 16 --plot work/shifts.png '
        '--work-dir work'.split(),
        [],
    ),
    export=(
        'export.py subnet.yaml --formats mm torch --input-size 32 --out work/export'.split(),
        [],
    ),
    latency=(
        'latency.py tiny.py --images 1 3 32 32 --rounds 3 --check 3 --out work/latency.json '
        '--work-dir work'.split(),
        [],
    ),
    digit_scenes=('digit_scenes.py work --train 2 --val 1 --test 1 --size 48'.split(), []),
)


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    """The configs, a supernet, a subnet and a table."""
    folder = tmp_path_factory.mktemp('inputs')
    init_default_scope('mmpretrain')
    model = classifier(widen_factor=0.125)
    model['head']['in_channels'] = 160
    config = dict(
        default_scope='mmpretrain',
        randomness=dict(seed=0),
        model=model,
        train_dataloader=digits(indices=32),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1),
            logger=dict(type='LoggerHook', interval=1),
        ),
        **held_out_and_test(),
        arch_evaluation=dict(calibration_dataloader=digits(), calibration_batches=1),
        model_wrapper_cfg=dict(type='pinas_mm.ActiveGradientDataParallel'),
        supernet_stage=dict(
            custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')], train_cfg=dict(max_epochs=1)
        ),
        search_loop=dict(
            type='pinas_mm.SearchLoop',
            searcher=dict(type='random'),
            num_archs=6,
            ask_size=2,
            top_k=2,
            score_samples=8,
            input_size=32,
        ),
        subnet_stage=dict(train_cfg=dict(max_epochs=1)),
    )
    Config(config).dump(str(folder / 'tiny.py'))
    best = config['default_hooks'] | dict(
        checkpoint=dict(
            type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='accuracy/top1'
        )
    )
    alone = dict(type='pinas_mm.ArchValLoop', archs=['22012012'])
    Config(
        config
        | dict(
            custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')],
            default_hooks=best,
            val_cfg=alone,
            test_cfg=None,
            test_dataloader=None,
            test_evaluator=None,
        )
    ).dump(str(folder / 'train.py'))
    subnet = json.loads(json.dumps(model))
    subnet['backbone']['arch'] = list(ARCH)
    Config(config | dict(model=subnet, train_cfg=dict(by_epoch=True, max_epochs=1))).dump(
        str(folder / 'subnet.py')
    )
    tiny_dsnas.dsnas(folder / 'unused', epochs=2, search=1, warm_up=0).dump(
        str(folder / 'dsnas.py')
    )
    small = dict(
        learn='train_cfg = dict(max_epochs=1)\n'
        'train_dataloader = dict(dataset=dict(indices=64))\ncustom_hooks = []\n',
        linear='train_cfg = dict(max_epochs=1)\n'
        'train_dataloader = dict(dataset=dict(indices=64))\n',
        search='val_dataloader = dict(dataset=dict(indices=40))\n'
        'search_loop = dict(num_archs=4, ask_size=2, score_samples=20)\n'
        'arch_evaluation = dict(calibration_batches=1)\n',
        finetune='train_cfg = dict(max_epochs=1)\n'
        'train_dataloader = dict(dataset=dict(indices=64))\n',
    )
    for name, changes in small.items():
        (folder / f'{name}.py').write_text(
            f'_base_ = {str(QUICKSTART / f"{name}.py")!r}\n{changes}'
        )
    net = randomise(MODELS.build(model))
    save_checkpoint(folder / 'supernet.pth', net.state_dict(), {})
    found = SubnetFile(space='nasbench_macro', arch=ARCH, widen_factor=0.125)
    write_subnet(folder / 'subnet.pth', found, subnet_state_dict(net, ARCH))
    space, rng = get_space('nasbench_macro'), np.random.default_rng(0)
    archs = {space.canonical(space.sample(rng)): None for _ in range(14)}
    rows = [f'{space.encode(arch)},{50 + number}' for number, arch in enumerate(archs)]
    (folder / 'truth.csv').write_text('\n'.join(['arch,accuracy', *rows]))
    return folder


class Runs:
    """Runs of one tool, each in a process of its own and all in the same folder."""

    def __init__(self, name, inputs, tmp_path):
        self.command, self.again = COMMANDS[name]
        self.inputs, self.folder, self.tmp_path = inputs, tmp_path / 'run', tmp_path

    def fresh(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.inputs, self.folder)

    def run(self, more=(), kill=None):
        """The exit code, and the events."""
        report = self.tmp_path / 'report.json'
        report.unlink(missing_ok=True)
        command = [*self.command, *more]
        code = finish(
            [start(crashes.run_tool, self.tmp_path, 'error', command, self.folder, report, kill)]
        )[0]
        if not report.exists():
            return code, []
        found = json.loads(report.read_text())
        return found['code'], found['events']

    def said(self):
        return (self.tmp_path / 'report.txt').read_text()[-2000:]

    def results(self):
        """What it has written, by name, in a form that two runs have in common."""
        found = {}
        for path in sorted((self.folder / 'work').rglob('*')):
            name = str(path.relative_to(self.folder))
            if not crashes.LOGS.search(name) and path.name not in DUMPED:
                found[name] = None if path.is_dir() else content(path)
        return found


# What mmengine notes of the config, with and without resume.
DUMPED = {f'{name}.py' for name in 'tiny train subnet dsnas learn linear search finetune'.split()}
# Files of times, and of the command and the warnings of each start.
NOTES = ('latency.json', 'last_checkpoint', 'report.json')
# Times, versions and what is counted in time; of a checkpoint, the log of past losses.
UNEQUAL = re.compile(r'seconds|time|^message_hub$|^experiment_name$|^cfg$')


def content(path):
    if path.suffix == '.pth':
        return plain(torch.load(path, weights_only=False))
    if path.suffix == '.json' and path.name not in NOTES:
        return plain(json.loads(path.read_text()))
    if path.suffix in ('.pt2', '.html') or path.name in NOTES:
        return path.stat().st_size > 0
    if path.suffix == '.md':
        return re.sub(r'\d+(\.\d+)? (s|min)\b', '', path.read_text())
    return path.read_bytes()


def plain(value):
    if isinstance(value, dict):
        return {
            str(key): plain(entry) for key, entry in value.items() if not UNEQUAL.search(str(key))
        }
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.numpy(force=True).tobytes()
    return value


def moments(events):
    """The numbers of the events before which the folder changed: at any other the kill would leave
    what one before it leaves."""
    states = [state for _, state in events]
    return [
        number
        for number, state in enumerate(states)
        if state == 'torn' or state not in states[:number]
    ]


def chosen(name, numbers):
    most = MOST.get(name, len(numbers))
    if ALL or most >= len(numbers):
        return numbers
    # One of each stretch.
    rng = np.random.default_rng(0)
    return [int(rng.choice(stretch)) for stretch in np.array_split(numbers, most)]


@pytest.mark.timeout(3600 if ALL else 300)
@pytest.mark.parametrize('name', COMMANDS)
def test_killed_at_any_write_it_goes_on_to_the_same_files(name, inputs, tmp_path):
    runs = Runs(name, inputs, tmp_path)
    runs.fresh()
    code, events = runs.run()
    assert code == 0, runs.said()
    assert len(events) > 0, 'the test would see nothing'
    expected = runs.results()
    assert any(value is not None for value in expected.values())
    numbers = moments(events)
    tried = chosen(name, numbers)
    wrong = {}
    for number in tried:
        runs.fresh()
        code, _ = runs.run(kill=number)
        assert code == crashes.KILLED, (events[number], runs.said())
        code, _ = runs.run(runs.again)
        problem = runs.said() if code else difference(runs.results(), expected)
        if problem:
            wrong[f'{number}: {events[number][0]}'] = problem
    print(
        f'{name}: {len(events)} events, {len(numbers)} moments, {len(tried)} tried, '
        f'{len(tried) - len(wrong)} held'
    )
    assert not wrong, '\n'.join(f'{moment}: {problem}' for moment, problem in wrong.items())


def difference(found, expected):
    if found.keys() != expected.keys():
        return f'files: {sorted(found.keys() ^ expected.keys())}'
    return ', '.join(name for name in found if found[name] != expected[name])
