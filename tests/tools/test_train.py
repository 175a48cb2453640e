import os
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from pickle_programs import runs, write

from pinas_mm.engine import runner
from pinas_mm.strategies import amp

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize(
    'options, expected',
    [
        ([], 'pinas_mm.AmpOptimWrapper'),
        (
            ['optim_wrapper.type=pinas_mm.SubnetAwareOptimWrapper', 'optim_wrapper.input_size=32'],
            'pinas_mm.SubnetAwareAmpOptimWrapper',
        ),
    ],
)
def test_amp_chooses_the_mixed_precision_form_of_the_wrapper(monkeypatch, options, expected):
    seen = []
    monkeypatch.setattr(amp, 'computes_in_bfloat16', lambda: True)
    monkeypatch.setattr(
        runner,
        'build_runner',
        lambda config: SimpleNamespace(train=lambda: seen.append(config.optim_wrapper)),
    )
    monkeypatch.setattr(
        sys,
        'argv',
        [
            'train.py',
            str(TOP / 'configs/quickstart/linear.py'),
            '--amp',
            '--cfg-options',
            'seed=0',
            *options,
        ],
    )
    runpy.run_path(str(TOP / 'tools/train.py'), run_name='__main__')
    assert [(wrapper.type, wrapper.loss_scale) for wrapper in seen] == [(expected, 'dynamic')]
    assert seen[0].get('input_size') == (32 if options else None)


class MakesFolder:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def detector(**kind):
    """One of mmdet on a small subnet, for 64 pixels."""
    return dict(
        backbone=dict(
            type='pinas_mm.SearchableMacroNet', arch='1' * 8, widen_factor=0.125, out_indices=(1, 2)
        ),
        neck=dict(type='FPN', in_channels=[16, 32], out_channels=16, num_outs=2),
        bbox_head=dict(
            type='RetinaHead',
            num_classes=2,
            in_channels=16,
            feat_channels=16,
            stacked_convs=1,
            anchor_generator=dict(
                type='AnchorGenerator',
                octave_base_scale=4,
                scales_per_octave=1,
                ratios=[1.0],
                strides=[4, 8],
            ),
            bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        ),
        **kind,
    )


@pytest.mark.parametrize(
    'content, reason',
    [
        ('code', 'it names the module posix, which could run code'),
        ('getattr', 'only tensors, numbers and log histories .* getattr'),
        ('cut', 'PytorchStreamReader failed'),
        ('empty', 'it ends too early'),
    ],
)
def test_a_teacher_of_mmdet_runs_no_code(tiny, tmp_path, monkeypatch, capsys, content, reason):
    """mmdet's distillation loads its teacher in the model's constructor."""
    pytest.importorskip('mmdet')
    teacher = tmp_path / 'teacher.pth'
    torch.save(MakesFolder(tmp_path / 'hacked'), teacher)
    if content == 'getattr':
        write(teacher, runs(f'import os; os.mkdir({str(tmp_path / "hacked")!r})'))
    elif content != 'code':
        teacher.write_bytes(teacher.read_bytes()[:-40] if content == 'cut' else b'')
    model = detector(
        type='KnowledgeDistillationSingleStageDetector',
        teacher_config=dict(model=detector(type='RetinaNet')),
        teacher_ckpt=str(teacher),
    )
    loader = tiny.digits(indices=16)
    loader['dataset']['pipeline'] = [dict(type='PackDetInputs')]
    config = Config(
        dict(
            default_scope='mmdet',
            experiment_name=f'distillation_{content}',
            custom_imports=dict(imports=['pinas_mm']),
            model=model,
            train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        )
    )
    config.dump(str(tmp_path / 'distillation.py'))
    monkeypatch.setattr(
        sys,
        'argv',
        ['train.py', str(tmp_path / 'distillation.py'), '--work-dir', str(tmp_path / 'work')],
    )
    with pytest.raises(SystemExit) as exit_code:
        runpy.run_path(str(TOP / 'tools/train.py'), run_name='__main__')
    error = capsys.readouterr().err.splitlines()[-1]
    assert exit_code.value.code == 2 and not (tmp_path / 'hacked').exists()
    before = f'error: {teacher}: not loadable as a checkpoint of plain tensors: '
    assert error.startswith(before) and re.match(reason, error.removeprefix(before))
