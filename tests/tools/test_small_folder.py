"""README's four steps on a folder as a new user has it: few images, of many kinds."""

import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from odd_images import corrupt, write_odd_images

from pinas_mm.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]
CONFIG = str(TOP / 'configs/pinas/pinas_nasbench-macro{}_cifar10.py')
# Shorter, and without processes for the loaders.
QUICK = [
    'train_cfg.max_epochs=1',
    'default_hooks.checkpoint.interval=1',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the steps run; PINAS_DATA has no slash at its end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PINAS_DATA', 'images')
    return write_odd_images(tmp_path / 'images', train=20, test=4)


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs a tool in this process: its exit code, and the last line on standard error."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(TOP / 'tools' / name), run_name='__main__')
        except SystemExit as error:
            code = error.code
        return code, ''.join(capsys.readouterr().err.splitlines()[-1:])

    return run


def test_the_four_steps(folder, tool):
    learn, linear = CONFIG.format('_1xb128-coslr-4e'), CONFIG.format('-linear_1xb128-coslr-3e')
    val = ['val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False']
    calibration = [
        f'arch_evaluation.calibration_dataloader.{key}'
        for key in ('num_workers=0', 'persistent_workers=False')
    ]
    hook = [
        f'custom_hooks.0.{name}_dataloader.{key}'
        for name in ('bank', 'query')
        for key in ('num_workers=0', 'persistent_workers=False')
    ]
    quick = ['--cfg-options', *QUICK]
    code, error = tool(
        'train.py', learn, '--work-dir', 'learn', *quick, *hook, 'custom_hooks.0.interval=1'
    )
    assert code == 0, error
    checkpoint = 'model.backbone.init_cfg.checkpoint=learn/epoch_1.pth'
    code, error = tool(
        'train.py', linear, '--work-dir', 'linear', *quick, *val, *calibration, checkpoint
    )
    assert code == 0, error
    supernet = load_checkpoint('linear/epoch_1.pth')
    assert supernet['state_dict']['head.fc.weight'].shape == (3, 320)
    assert supernet['meta']['dataset_meta']['classes'] == ('cat', 'dog', 'frog')
    code, error = tool(
        'search.py',
        CONFIG.format('-search'),
        'linear/epoch_1.pth',
        '--work-dir',
        'work_dirs/search',
        '--cfg-options',
        'search_loop.num_archs=4',
        'search_loop.searcher.population=2',
        *val,
        *calibration,
    )
    assert code == 0, error
    lines = Path('work_dirs/search/history.jsonl').read_text().splitlines()
    assert sum('"arch"' in line for line in lines) == 4, 'none is scored again on the same images'
    assert '"held_out": 0.1' in lines[0]
    code, error = tool(
        'train.py',
        CONFIG.format('-finetune_1xb128-coslr-2e'),
        '--work-dir',
        'finetune',
        *quick,
        *val,
        'train_cfg.val_interval=1',
    )
    assert code == 0, error
    finetuned = load_checkpoint('finetune/epoch_1.pth')['state_dict']
    assert all(value.isfinite().all() for value in finetuned.values() if torch.is_tensor(value))


def test_what_is_wrong_with_the_folder_is_one_line(folder, tool):
    linear = CONFIG.format('-linear_1xb128-coslr-3e')
    options = [
        linear,
        '--work-dir',
        'wrong',
        '--cfg-options',
        *QUICK,
        'model.backbone.init_cfg=None',
    ]
    wrong = [
        (
            ['model.head.num_classes=5'],
            r'num_classes=5 of LinearClsHead: ClassFolders has 3 classes',
        ),
        (['held_out=2000'], r'held_out=2000 of 60 samples in ClassFolders: expected a share'),
        (['train_dataloader.dataset.held_out=6'], r'stated once: held_out=... of the config'),
    ]
    for changes, message in wrong:
        code, error = tool('train.py', *options, *changes)
        assert code == 2 and re.fullmatch(f'error: .*{message}.*', error), error
    corrupt(folder / 'train/dog/13.jpg')
    for change in ('train_dataloader.num_workers=0', 'train_dataloader.num_workers=1'):
        code, error = tool('train.py', *options, change, 'held_out=1')
        path = 'images/train/dog/13.jpg'
        assert code == 2 and error == f'error: {path}: not an image that can be decoded'
    (folder / 'train/bird').mkdir()
    code, error = tool('train.py', *options)
    assert code == 2 and error.startswith('error: images/train: no image in bird: remove the')
