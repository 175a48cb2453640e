"""Wrong command lines over all tools: each ends in one line and exit code 2, and writes nothing.

The lines are made of a table: settings of configs by what they take, options of tools, and lines of
their own. For each setting and option a value that fits is tried too, so that nothing is refused
without reason."""

import itertools
import logging
import re
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from tiny_dsnas import dsnas
from tiny_runner import small_adaptation

from pinas_mm.checkpoint import save_checkpoint
from pinas_mm.engine.config import load_config, option_values
from pinas_mm.models.backbones import SearchableMacroNet
from pinas_mm.spaces.subnet_file import SubnetFile

# About a minute and a half; tests/engine/test_settings_check.py is fast.
pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]
QUICK = TOP / 'configs/quickstart'
HUGE = '1' + '0' * 400
LONGEST = 400

# What is wrong for a setting that takes ..., as --cfg-options has it; and what fits.
TEXT, LIST, NEGATIVE, ZERO, HALF, NAN, FLAG = 'many', '[1,2]', '-3', '0', '2.5', 'nan', 'True'
COUNT = (TEXT, LIST, NEGATIVE, ZERO, HALF, NAN, HUGE, FLAG), '2'
WHOLE = (TEXT, LIST, NEGATIVE, HALF, HUGE), '0'
SEED = (TEXT, LIST, NEGATIVE, HALF, HUGE, str(2**32)), '3'
RATE = (TEXT, LIST, NEGATIVE, NAN, HUGE), '0'
POSITIVE = (TEXT, NEGATIVE, ZERO, NAN, HUGE), '0.25'
SHARE = (TEXT, NEGATIVE, '1.5', NAN), '0.5'
SIZE = (TEXT, NEGATIVE, ZERO, HALF, HUGE, '[32,a]', '[32]'), '[32,48]'
YES = (TEXT, '3'), 'True'
DICT = (TEXT, '3', LIST), None
NAME = ('3', 'Nonesuch'), None

SETTINGS = {
    'train': {
        'train_cfg.max_epochs': COUNT,
        'train_cfg.val_interval': COUNT,
        'train_cfg.val_begin': WHOLE,
        'train_dataloader.batch_size': COUNT,
        'train_dataloader.num_workers': WHOLE,
        'train_dataloader.drop_last': YES,
        'train_dataloader.sampler': DICT,
        'train_dataloader.dataset': DICT,
        'train_dataloader.dataset.split_seed': SEED,
        'train_dataloader.dataset.split': NAME,
        'optim_wrapper.accumulative_counts': COUNT,
        'optim_wrapper.optimizer': DICT,
        'optim_wrapper.optimizer.type': (('3', 'Adamm', 'torch.optim.Adamm'), 'SGD'),
        'optim_wrapper.optimizer.lr': RATE,
        'optim_wrapper.optimizer.weight_decay': RATE,
        'optim_wrapper.optimizer.betas': ((TEXT, '[0.9,x]', '[0.9,2]'), '[0.9,0.99]'),
        'param_scheduler.0.type': NAME,
        'param_scheduler.0.T_max': POSITIVE,
        'param_scheduler.0.begin': RATE,
        'default_hooks.checkpoint.interval': ((TEXT, '-2', HALF, NAN), '1'),
        'default_hooks.logger.interval': ((TEXT, '-2', HALF), '1'),
        'default_hooks.logger': DICT,
        'custom_hooks.0.seed': SEED,
        'custom_hooks.0.type': NAME,
        'randomness.seed': SEED,
        'randomness.deterministic': YES,
        'resume': YES,
        'launcher': (('ssh',), 'none'),
        'load_from': (('3', 'missing.pth'), None),
        'auto_scale_lr.base_batch_size': COUNT,
        'model': DICT,
        'model.type': NAME,
        'model.backbone.type': NAME,
        'model.backbone.widen_factor': POSITIVE,
        'model.backbone.in_channels': COUNT,
        'model.backbone.frozen_stages': ((TEXT, HALF, LIST), '4'),
        'model.head.type': NAME,
        'val_evaluator.0.type': NAME,
    },
    'search': {
        'search_loop': DICT,
        'search_loop.num_archs': COUNT,
        'search_loop.ask_size': COUNT,
        'search_loop.top_k': COUNT,
        'search_loop.score_samples': COUNT,
        'search_loop.calibration_batches': COUNT,
        'search_loop.seed': SEED,
        'search_loop.input_size': SIZE,
        'search_loop.fold_bn': YES,
        'search_loop.autocast': (('float64', '16'), 'bfloat16'),
        'search_loop.race': ((TEXT, '3', LIST), None),
        'search_loop.race.top_k': COUNT,
        'search_loop.race.confidence': ((TEXT, ZERO, '1', NAN), '0.9'),
        'search_loop.constraints': ((TEXT, '3', LIST), None),
        'search_loop.constraints.macs': ((TEXT, NEGATIVE, ZERO, NAN, '[1,2,3]'), '[1,4000000]'),
        'search_loop.searcher': ((TEXT, '3', LIST), None),
        'search_loop.searcher.type': NAME,
        'search_loop.searcher.num_initial': ((TEXT, NEGATIVE, '1', HALF), '3'),
        'search_loop.searcher.refit_every': COUNT,
        'search_loop.searcher.exploration': RATE,
        'search_loop.searcher.max_draws': COUNT,
        'arch_evaluation.calibration_batches': COUNT,
        'arch_evaluation.autocast': (('float64',), 'float16'),
    },
    'dsnas': {
        'custom_hooks.0.search': COUNT,
        'custom_hooks.0.warm_up': WHOLE,
        'optim_wrapper.fix_lead': POSITIVE,
        'optim_wrapper.reward': (('cubic', '3'), 'reinforce'),
        'optim_wrapper.macs_coef': RATE,
        'optim_wrapper.arch_seed': SEED,
        'second_stage': DICT,
        'second_stage.optim_wrapper.optimizer.lr': RATE,
    },
    'adapt': {
        'supernet_stage.custom_hooks.0.seed': SEED,
        'supernet_stage.train_cfg.max_epochs': COUNT,
        'subnet_stage.optim_wrapper.optimizer.lr': RATE,
        'subnet_stage.train_dataloader.batch_size': COUNT,
        'search_loop.num_archs': COUNT,
    },
    'pinas': {
        'learn.model.queue_len': COUNT,
        'learn.model.momentum': SHARE,
        'learn.custom_hooks.0.neighbours': COUNT,
        'linear.train_cfg.max_epochs': COUNT,
        'search.search_loop.num_archs': COUNT,
        'finetune.optim_wrapper.optimizer.lr': RATE,
    },
}

# Options of tools by what they take.
FROM = {
    least: ((TEXT, str(least - 1), HALF, NAN, HUGE, ''), str(least)) for least in (0, 1, 2, 3, 10)
}
SEED_OPTION = (TEXT, NEGATIVE, HALF, str(2**32), HUGE), '3'
OPTIONS = {
    'pinas': {'--seed': SEED_OPTION, '--random': FROM[0]},
    'adapt': {'--seed': SEED_OPTION, '--until': ((TEXT,), 'search')},
    'make_truth': {
        '--seed': SEED_OPTION,
        '--archs': FROM[1],
        '--repeats': FROM[1],
        '--jobs': FROM[1],
        '--input-size': FROM[1],
    },
    'rank': {
        '--seed': SEED_OPTION,
        '--archs': FROM[1],
        '--class-archs': FROM[10],
        '--few-truths': FROM[0],
        '--sampling': ((TEXT,), 'all'),
    },
    'consistency': {'--seed': SEED_OPTION, '--archs': FROM[2], '--images': FROM[1]},
    'latency': {
        '--seed': SEED_OPTION,
        '--rounds': FROM[3],
        '--check': FROM[3],
        '--threads': FROM[1],
        '--dtype': (('float64',), 'float32'),
    },
    'export': {'--input-size': FROM[2], '--out-indices': FROM[0], '--formats': (('jpg',), 'mm')},
    'digit_scenes': {'--seed': SEED_OPTION, '--size': ((TEXT, '47', HUGE), '48')}
    | {f'--{split}': FROM[1] for split in ('train', 'val', 'test')},
}


# Lines of their own: the arguments after the tool's usual ones, or all of them where it is (), and
# what the message names.
OWN = {
    'train': [
        (('--cfg-options', 'optim_wrapper.optimizer.typo=1'), 'optim_wrapper.optimizer.typo'),
        (('--cfg-options', 'train_cfg.max_epoch=1'), 'train_cfg.max_epoch'),
        (('--cfg-options', 'train_dataloader.dataset.slit=test'), 'train_dataloader.dataset.slit'),
        (('--cfg-options', 'custom_hooks.0.sed=1'), 'custom_hooks.0.sed'),
        (('--cfg-options', 'default_hooks.logger.intervall=1'), 'default_hooks.logger.intervall'),
        (('--cfg-options', 'param_scheduler.0.Tmax=3'), 'param_scheduler.0.Tmax'),
        (('--cfg-options', 'val_evaluator.0.top=1'), 'val_evaluator.0.top'),
        (
            ('--cfg-options', 'val_evaluator.top=1'),
            'val_evaluator.top: val_evaluator is a list of 2',
        ),
        (('--cfg-options', 'model.backbone.widen_facto=1'), 'model.backbone.widen_facto'),
        (('--cfg-options', 'model.backbone.arch=22000219'), 'slot 7 holds 9'),
        (('--cfg-options', 'model.backbone.arch=220002100'), '=220002100'),
        (('--cfg-options', 'model.backbone.arch=2e7'), '=20000000.0'),
        (('--cfg-options', 'model.backbone.arch=-2200021'), '=-2200021'),
        (('--cfg-options', 'train_cfg.max_epochs=[1,2'), '[1,2'),
        (('--cfg-options', 'train_cfg.max_epochs'), 'train_cfg.max_epochs'),
        (('--cfg-options', 'train_cfg=None'), 'train_cfg'),
        (('--cfg-options', 'optim_wrapper=None'), 'optim_wrapper'),
        (('--cfg-options', 'val_evaluator=None'), 'val_evaluator'),
        (('--cfg-options', 'held_out=0'), 'held_out'),
        (('--launcher', 'pytorch'), 'RANK'),
        (('--launcher', 'slurm'), 'SLURM_PROCID'),
        (('--launcher', 'mpi'), 'OMPI_COMM_WORLD_LOCAL_RANK'),
        (('--launcher', 'ssh'), 'ssh'),
        (('--resume', 'missing.pth'), 'missing.pth'),
        (('--cfg-options', 'auto_scale_lr=None', '--auto-scale-lr'), 'auto_scale_lr'),
        (('--epochs', '3'), '--epochs'),
    ],
    'test': [
        (('--arch', '2201'), '[2, 2, 0, 1]'),
        (('--arch', '22122219'), 'slot 7 holds 9'),
        (('--arch', 'missing.yaml'), 'missing.yaml'),
        (('--arch', ''), '[] has 0 entries'),
        (('--cfg-options', 'test_evaluator.0.type=Nonesuch'), 'test_evaluator.0.type'),
        (('--launcher', 'pytorch'), 'RANK'),
    ],
    'search': [
        (('--cfg-options', 'search_loop.num_arch=3'), 'search_loop.num_arch'),
        (('--cfg-options', 'search_loop.race.topk=3'), 'search_loop.race.topk'),
        (('--cfg-options', 'search_loop.searcher.num_inital=3'), 'search_loop.searcher.num_inital'),
        (('--cfg-options', 'search_loop.searcher.budget=3'), 'search_loop.searcher.budget'),
        (('--cfg-options', 'search_loop.constraints.mac=3e6'), 'mac'),
        (('--cfg-options', 'search_loop.constraints.latency=3'), 'latency'),
        (('--cfg-options', 'search_loop.constraints.macs=[3e6,1e6]'), 'macs'),
        (('--cfg-options', 'search_loop.latency_table=missing.json'), 'missing.json'),
        (('--cfg-options', 'search_loop.score=nonesuch'), 'nonesuch'),
        (('--cfg-options', 'search_loop=None'), 'search_loop'),
        (('--cfg-options', 'val_dataloader=None'), 'val_dataloader'),
        (('--cfg-options', 'arch_evaluation.batches=3'), 'arch_evaluation.batches'),
        (('--cfg-options', 'search_loop.num_archs=1'), 'num_archs'),
        (('--launcher', 'slurm'), 'SLURM_PROCID'),
        (('--resume', 'yes'), 'yes'),
    ],
    'pinas': [
        (('--lern.train_cfg.max_epochs=1',), 'lern'),
        (('--learn.train_cfg.max_epochs',), '--learn.train_cfg.max_epochs'),
        (('--search.search_loop.num_arch=3',), 'search_loop.num_arch'),
        (('--finetune.optim_wrapper.optimizer.type=Adamm',), 'Adamm'),
        (('--transfer', 'missing.py'), 'missing.py'),
        (('--transfer', 'learn.py'), 'learn'),
        (('--cfg-options', 'randomness.seed=x'), 'randomness.seed'),
    ],
    'adapt': [
        (('--supernet', 'missing.pth'), 'missing.pth'),
        (('--source-arch', '2201'), '[2, 2, 0, 1]'),
        (('--source-arch', 'missing.yaml'), 'missing.yaml'),
        (('--cfg-options', 'search_loop.num_arch=3'), 'search_loop.num_arch'),
        (('--cfg-options', 'subnet_stage.optim_wrapper.optimizer.type=Adamm'), 'Adamm'),
        (('--cfg-options', 'supernet_stage.custom_hooks=[]'), 'supernet_stage.custom_hooks'),
        (('--cfg-options', 'val_dataloader=None'), 'val_dataloader'),
        (('--until', 'subnet', '--launcher', 'mpi'), 'OMPI_COMM_WORLD_LOCAL_RANK'),
    ],
    'dsnas': [
        (('--cfg-options', 'custom_hooks.0.search=9'), 'search=9'),
        (('--cfg-options', 'optim_wrapper.rewards=linear'), 'optim_wrapper.rewards'),
        (('--cfg-options', 'optim_wrapper.type=OptimWrapper'), 'optim_wrapper'),
        (('--cfg-options', 'custom_hooks=[]'), 'custom_hooks'),
        (('--launcher', 'pytorch'), 'RANK'),
    ],
    'make_truth': [
        (('--constraints', 'macs=4e6'), '--input-size'),
        (('--constraints', 'macs=many', '--input-size', '32'), '--constraints.macs'),
        (('--constraints', 'macs=-4', '--input-size', '32'), '--constraints.macs'),
        (('--constraints', 'macs=nan', '--input-size', '32'), '--constraints.macs'),
        (('--constraints', 'mac=4e6', '--input-size', '32'), 'mac'),
        (('--constraints', 'macs', '--input-size', '32'), 'macs'),
        (('--launcher', 'pytorch'), '--launcher'),
        (('--cfg-options', 'train_cfg=None'), 'train_cfg'),
        (('--cfg-options', 'test_evaluator=None'), 'test_evaluator'),
    ],
    'rank': [
        (('--truth', 'missing.csv'), 'missing.csv'),
        (('--few-truths', '1'), '--few-truths'),
        (('--scores', 'nonesuch'), 'nonesuch'),
        (('--archs', '100000'), '100000'),
        (('--launcher', 'pytorch'), 'RANK'),
    ],
    'consistency': [
        (('--names', 'a', 'b'), '--names'),
        (('--cfg-options', 'train_dataloader=None'), 'train_dataloader'),
        (('--images', '5000000'), '5000000'),
    ],
    'latency': [
        (('--images', '1', '3', '32'), '--images'),
        (('--images', '0', '3', '32', '32'), '--images'),
        (('--images', '1', '3', '32', 'x'), '--images'),
        (('--images', '1', '4', '32', '32'), '4'),
    ],
    'export': [
        (('--parts', 'classifier'), '--config'),
        (('--parts', 'classifiers'), 'classifiers'),
        (('--checkpoint', 'missing.pth'), 'missing.pth'),
        (('--out-indices', '9'), '9'),
        (('--config', 'missing.py'), 'missing.py'),
        (('--input-size', '3', '--formats', 'torch'), '--input-size'),
    ],
    'convert': [((), 'supernet.pth')],
    'generate_configs': [
        (('--source', 'missing'), 'missing'),
        (('--source', 'empty'), 'empty'),
        (('--surce', 'x'), '--surce'),
    ],
}
# Settings that could be taken for wrong, and why they are accepted.
ACCEPTED = [
    ('train', 'optim_wrapper.optimizer.lr=0', 'a rate of 0 is a number, and may be scheduled'),
    ('train', 'default_hooks.logger.interval=-1', 'mmengine has -1 for never'),
    ('train', 'default_hooks.checkpoint.intervall=1', "mmengine's hook takes any argument"),
    ('train', 'model.backbone.arch=22000210', 'the number has an entry for each slot'),
    ('train', 'model.backbone.arch=1201201', 'what 01201201 becomes; slots begin with zeros'),
    ('train', 'train_dataloader.batch_size=5000', 'the batch is the dataset, which is said'),
    ('train', 'a_variable_of_the_file=many', 'what nothing reads is free, as in mmengine'),
    ('search', 'search_loop.score_samples=5000', 'all are used, which is said'),
    ('search', 'search_loop.constraints.macs=None', 'no limit'),
]
# The config, the checkpoint or the table itself.
FILES = {
    'missing.py': 'no such',
    'empty.py': 'model',
    'torn.py': 'torn.py',
    'folder': 'folder',
    'text.py': 'text.py',
}
CHECKPOINTS = ('missing.pth', 'folder', 'empty.pth', 'text.pth', 'other.pth')
# What each tool is given in every line, for files of the fixture below.
GIVEN = {
    'train': ('linear.py', '--work-dir', 'work'),
    'test': ('linear.py', 'supernet.pth', '--arch', '22212220', '--work-dir', 'work'),
    'search': ('search.py', 'supernet.pth', '--work-dir', 'work'),
    'pinas': ('learn.py', 'linear.py', 'search.py', 'finetune.py', '--work-dir', 'work'),
    'adapt': ('target.py', '--supernet', 'supernet.pth', '--work-dir', 'work'),
    'dsnas': ('dsnas.py', '--work-dir', 'work'),
    'make_truth': ('finetune.py', '--out', 'work/truth.json', '--work-dir', 'work'),
    'rank': ('linear.py', 'supernet.pth', '--truth', 'truth.csv', '--work-dir', 'work'),
    'consistency': ('linear.py', 'supernet.pth', '--work-dir', 'work'),
    'latency': ('search.py', '--images', '1', '3', '32', '32', '--out', 'work/latency.json')
    + ('--work-dir', 'work'),
    'export': ('subnet.yaml', '--out', 'work'),
    'convert': ('supernet.pth', 'work/converted.pth'),
    'generate_configs': ('--destination', 'work'),
    'digit_scenes': ('work',),
}


@dataclass(frozen=True)
class Line:
    """A wrong command line: a tool, its arguments, and what the message has to name: a key or an
    option, and one of some ways to show the value."""

    tool: str
    arguments: tuple[str, ...]
    named: str
    values: tuple[str, ...] = ('',)

    def __str__(self) -> str:
        return ' '.join([f'{self.tool}.py', *(text[:60] for text in self.arguments)])


def setting(tool, key, value):
    """A setting as an option of a tool."""
    return (f'--{key}={value}',) if tool == 'pinas' else ('--cfg-options', f'{key}={value}')


def own_key(tool, key):
    """The key that a message has: a stage of tools/pinas.py has a config of its own."""
    return key.partition('.')[2] if tool == 'pinas' else key


def shown(value):
    """The beginning of a value as a message has it; of a list, also of an entry, which may be what
    is wrong."""
    read = option_values([f'value={value}'])['value']
    return tuple(f'={each!r}'[:20] for each in [read, *(read if isinstance(read, list) else [])])


LINES = [
    *(
        Line(tool, (*GIVEN[tool], *setting(tool, key, value)), own_key(tool, key), shown(value))
        for tool, settings in SETTINGS.items()
        for key, (wrong, _) in settings.items()
        for value in wrong
    ),
    *(
        Line(tool, (*GIVEN[tool], option, value), option, (repr(value[:20])[:-1],))
        for tool, options in OPTIONS.items()
        for option, (wrong, _) in options.items()
        for value in wrong
    ),
    *(
        Line(tool, (*GIVEN[tool], *arguments), named)
        for tool, rows in OWN.items()
        for arguments, named in rows
    ),
    *(
        Line(tool, (name, *GIVEN[tool][1:]), named)
        for tool in ('train', 'search', 'dsnas', 'make_truth')
        for name, named in FILES.items()
    ),
    *(
        Line(tool, tuple(name if text == 'supernet.pth' else text for text in GIVEN[tool]), name)
        for tool in ('test', 'search', 'adapt', 'rank', 'consistency', 'convert')
        for name in CHECKPOINTS
    ),
]


# The config of a tool whose settings are changed.
CONFIG_OF = {tool: GIVEN[tool][0] for tool in SETTINGS}
# What a tool finds out when a stage has begun, so that its folder is there.
LATE = ('search=9',)
NUMBERS = itertools.count()
# What mmengine writes as soon as it makes a Runner, before there is a model.
IS_LOG = re.compile(r'\w+\.py$|\d{8}_\d{6}(/|$)').match


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Small configs, a supernet, a subnet and a table, and files that are none of these."""
    folder = tmp_path_factory.mktemp('lines')
    for name in ('learn', 'linear', 'search', 'finetune'):  # without bases: twice as fast
        Config.fromfile(QUICK / f'{name}.py').dump(str(folder / f'{name}.py'))
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    config = Config.fromfile(folder / 'linear.py')
    model = MODELS.build(
        dict(config.model.to_dict(), data_preprocessor=config.data_preprocessor.to_dict())
    )
    save_checkpoint(folder / 'supernet.pth', model.state_dict(), {})
    save_checkpoint(folder / 'other.pth', dict(a=torch.zeros(2)), {})
    dsnas(folder, epochs=2, search=1, warm_up=0).dump(str(folder / 'dsnas.py'))
    Config(
        small_adaptation()
        | dict(
            model=config.model.to_dict() | dict(init_cfg=None),
            data_preprocessor=config.data_preprocessor.to_dict(),
        )
    ).dump(str(folder / 'target.py'))
    SubnetFile('nasbench_macro', (2, 2, 1, 2, 2, 2, 2, 0), 0.25).write(folder / 'subnet.yaml')
    subnet = SearchableMacroNet(arch=str(folder / 'subnet.yaml'))
    state = {f'backbone.{key}': value for key, value in subnet.state_dict().items()}
    save_checkpoint(folder / 'subnet.pth', state, {})
    space = subnet.space
    rng = np.random.default_rng(0)
    rows = [f'{space.encode(space.sample(rng))},{50 + number}' for number in range(30)]
    (folder / 'truth.csv').write_text('\n'.join(['arch,accuracy', *rows]))
    (folder / 'empty.py').write_text('')
    (folder / 'empty.pth').write_text('')
    (folder / 'torn.py').write_text('model = dict(')
    (folder / 'text.py').write_text('no config at all\n')
    (folder / 'text.pth').write_text('no checkpoint at all\n')
    (folder / 'folder').mkdir()
    (folder / 'empty').mkdir()
    return folder


@pytest.fixture
def run(files, monkeypatch, capfd):
    """Runs a line in this process; returns its exit code, what it wrote to standard error, and the
    files that it wrote. An exception is its traceback's end, and code 1."""
    monkeypatch.chdir(files)
    monkeypatch.setattr(logging, 'raiseExceptions', False)  # loggers of earlier lines
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('LOCAL_RANK', '0')  # what a tool sets is undone

    def end(line):
        # Another for each line: mmengine keeps what it has made for a second.
        work = files / f'work{next(NUMBERS)}'
        arguments = [re.sub('^work', work.name, text) for text in line.arguments]
        monkeypatch.setattr(sys, 'argv', [f'{line.tool}.py', *arguments])
        capfd.readouterr()
        code = 0
        try:
            runpy.run_path(str(TOP / f'tools/{line.tool}.py'), run_name='__main__')
        except SystemExit as end:
            code = end.code
        except Exception as error:
            return 1, f'{type(error).__name__}: {error}', []
        written = [path for path in work.rglob('*') if not IS_LOG(str(path.relative_to(work)))]
        return code, capfd.readouterr().err, written

    return end


@pytest.fixture
def fault(run):
    """Runs a line; returns what is wrong about its end, as text."""

    def found(line):
        code, error, written = run(line)
        *before, last = error.splitlines() or ['']
        if code != 2:
            return f'exit code {code}: {error[:LONGEST]}'
        if not re.match(rf'({line.tool}\.py: )?error: ', last):
            return f'ends with {last[:200]!r}'
        if before and not before[0].startswith('usage: '):
            return f'{len(before) + 1} lines: {error[:400]!r}'
        if line.named not in last:
            return f'does not name {line.named}: {last}'
        if not any(value in last for value in line.values):
            return f'does not name {line.values}: {last}'
        if len(last) > LONGEST:
            return f'{len(last)} characters: {last[:LONGEST]}'
        if written and line.named not in LATE:
            return f'wrote {written[0]}: {last}'
        return ''

    return found


def test_there_are_enough(capfd):
    tried = len(LINES)
    with capfd.disabled():
        print(f'\n{tried} wrong lines of {len(GIVEN)} tools, {len(ACCEPTED)} accepted on purpose')
    assert tried >= 245 and len(set(map(str, LINES))) == tried


@pytest.mark.parametrize('tool', GIVEN)
def test_each_ends_in_one_line(tool, fault, capfd):
    tried = [line for line in LINES if line.tool == tool]
    faults = {str(line): found for line in tried if (found := fault(line))}
    with capfd.disabled():
        print(f'\n{tool}: {len(tried)} wrong lines tried, {len(tried) - len(faults)} held')
    assert not faults, '\n'.join(f'{line}\n    {found}' for line, found in faults.items())


@pytest.mark.parametrize('tool', SETTINGS)
def test_a_value_that_fits_is_accepted(tool, files, monkeypatch):
    """Each setting of the table with a value of the right kind, on its own."""
    monkeypatch.chdir(files)
    for key, (_, fits) in SETTINGS[tool].items():
        stage, _, rest = key.partition('.')
        path, key = (f'{stage}.py', rest) if tool == 'pinas' else (CONFIG_OF[tool], key)
        if fits is not None:
            load_config(path, option_values([f'{key}={fits}']))


@pytest.mark.parametrize('tool', OPTIONS)
def test_an_option_that_fits_is_accepted(tool, run):
    """Each option of the table with a value of the right kind: what is refused is what comes after
    it."""
    for option, (_, fits) in OPTIONS[tool].items():
        line = Line(tool, (*GIVEN[tool], option, fits, '--nonesuch'), '--nonesuch')
        assert 'unrecognized arguments: --nonesuch' in run(line)[1], line


@pytest.mark.parametrize('tool, setting, reason', ACCEPTED)
def test_what_is_accepted_on_purpose(tool, setting, reason, files, monkeypatch):
    monkeypatch.chdir(files)
    load_config(CONFIG_OF[tool], option_values([setting]))
