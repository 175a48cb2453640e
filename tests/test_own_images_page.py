"""The commands of docs/tutorials/own_images.md, as they stand there, on a folder of few images."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import torch
import yaml
from odd_images import write_odd_images

from pinas_mm.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'docs/tutorials/own_images.md').read_text()
DATA, STEPS = re.findall(r'```bash\n(.*?)```', PAGE, re.DOTALL)


def in_process(*loaders):
    """Options by which loaders read in this process."""
    keys = ('num_workers=0', 'persistent_workers=False')
    return [f'{loader}.{key}' for loader in loaders for key in keys]


# Shorter steps, one list of options per command.
TRAIN = ['train_cfg.max_epochs=1', 'default_hooks.checkpoint.interval=1']
TRAIN += in_process('train_dataloader')
KNN = in_process('custom_hooks.0.bank_dataloader', 'custom_hooks.0.query_dataloader')
SCORED = in_process('val_dataloader', 'arch_evaluation.calibration_dataloader')
QUICK = [
    TRAIN + KNN,
    TRAIN + SCORED,
    SCORED + ['search_loop.num_archs=4', 'search_loop.searcher.population=2'],
    TRAIN + in_process('val_dataloader') + ['train_cfg.val_interval=1'],
    in_process('test_dataloader', 'arch_evaluation.calibration_dataloader'),
]


def commands():
    """Name of the tool and its arguments, of every command of the steps."""
    prefix, _, text = STEPS.partition('\n')
    assert prefix.startswith('P=')
    text = text.replace('${P}', prefix[2:]).replace('\\\n', ' ')
    for line in text.splitlines():
        if line and not line.startswith('#'):
            python, tool, *arguments = shlex.split(line)
            assert python == 'python' and tool.startswith('tools/')
            yield tool.removeprefix('tools/'), arguments


def quick(arguments, options):
    arguments = [re.sub(r'epoch_\d', 'epoch_1', argument) for argument in arguments]
    return arguments + ([] if '--cfg-options' in arguments else ['--cfg-options']) + options


@pytest.mark.slow
def test_the_commands_run_on_a_users_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in ('configs', 'tools'):
        Path(folder).symlink_to(ROOT / folder)
    assert DATA == 'export PINAS_DATA=my_images\n'
    monkeypatch.setenv('PINAS_DATA', 'my_images')
    write_odd_images(tmp_path / 'my_images', train=20, test=4)
    done = []
    for (tool, arguments), options in zip(commands(), QUICK, strict=True):
        monkeypatch.setattr(sys, 'argv', [tool, *quick(arguments, options)])
        try:
            runpy.run_path(f'tools/{tool}', run_name='__main__')
        except SystemExit as error:
            assert not error.code, capsys.readouterr().err
        done.append(tool)
    assert done == ['train.py', 'train.py', 'search.py', 'train.py', 'test.py']
    found = yaml.safe_load(Path('work_dirs/search/subnet.yaml').read_text())
    assert found['space'] == 'nasbench_macro' and Path('work_dirs/search/subnet.pth').is_file()
    weights = load_checkpoint('work_dirs/finetune/epoch_1.pth')['state_dict']
    assert all(value.isfinite().all() for value in weights.values() if torch.is_tensor(value))
    assert 'accuracy/top1' in capsys.readouterr().out
