import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

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
