import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

import pinas_mm  # noqa: F401
from pinas_mm.pipelines import truth_training
from pinas_mm.ranking.truth import TruthTable
from pinas_mm.spaces.nasbench_macro import NASBENCH_MACRO

# Each test runs whole tools.
pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[2]
CONFIGS = TOP / 'configs/quickstart'


@pytest.fixture
def make_truth(monkeypatch, capsys, tmp_path):
    """Runs the tool in this process on a small config; returns its exit code, its output and its
    last line of errors."""
    config = tmp_path / 'small.py'
    config.write_text(f"""_base_ = {str(CONFIGS / 'finetune.py')!r}
model = dict(backbone=dict(widen_factor=0.125), head=dict(in_channels=160),
             neck=[dict(type='GlobalAveragePooling'),
                   dict(type='ClsBatchNormNeck', input_features=160, affine=False)])
train_dataloader = dict(batch_size=16, dataset=dict(indices=48))
test_dataloader = dict(dataset=dict(indices=100))
train_cfg = dict(max_epochs=1)
""")

    def run(out, *arguments, config=config):
        monkeypatch.setattr(
            sys,
            'argv',
            [
                'make_truth.py',
                str(config),
                '--out',
                str(tmp_path / out),
                '--work-dir',
                str((tmp_path / out).parent / 'work'),
                *map(str, arguments),
            ],
        )
        capsys.readouterr()
        code = 0
        try:
            runpy.run_path(str(TOP / 'tools/make_truth.py'), run_name='__main__')
        except SystemExit as error:
            code = error.code
        out, err = capsys.readouterr()
        return code, out, (err.splitlines() or [''])[-1]

    return run


def test_stopped_and_resumed_the_table_is_that_of_one_never_stopped(
    make_truth, monkeypatch, tmp_path
):
    code, out, error = make_truth('whole.json', '--archs', 2, '--repeats', 2, '--seed', 1)
    assert code == 0, error
    table = TruthTable.read(tmp_path / 'whole.json', NASBENCH_MACRO)
    assert len(table.networks()) == 2 and table.repeats == 2
    lines = re.findall(
        r'(\d)/4  arch (\d{8})  repeat (\d)  accuracy/top1: ([\d.]+)  [\d.]+ s each  ETA [\d:]+',
        out,
    )
    assert [line[0] for line in lines] == list('1234') and [line[2] for line in lines] == list(
        '0011'
    )
    assert {line[1] for line in lines} == set(json.loads((tmp_path / 'whole.json').read_text()))

    train, count = truth_training.TruthTrainer.__call__, []

    def stopping(self, arch, repeat):
        count.append(arch)
        if len(count) == 3:
            raise KeyboardInterrupt
        return train(self, arch, repeat)

    with monkeypatch.context() as patch:
        patch.setattr(truth_training.TruthTrainer, '__call__', stopping)
        assert make_truth('parts.json', '--archs', 1, '--repeats', 1, '--seed', 1)[0] == 0
        assert make_truth('parts.json', '--archs', 2, '--repeats', 2, '--seed', 1)[0] == 130
    assert sum(map(len, json.loads((tmp_path / 'parts.json').read_text()).values())) == 2
    (tmp_path / 'moved').mkdir()
    for name in ('parts.json', 'parts.meta.json', 'work'):
        (tmp_path / name).rename(tmp_path / 'moved' / name)
    code, out, _ = make_truth('moved/parts.json', '--archs', 2, '--repeats', 2, '--seed', 1)
    assert code == 0 and '2 of 4 trainings are in' in out and len(re.findall(' arch ', out)) == 2, (
        'nothing is trained twice'
    )
    for name in ('{}.json', '{}.meta.json'):
        assert (tmp_path / 'moved' / name.format('parts')).read_bytes() == (
            tmp_path / name.format('whole')
        ).read_bytes()


def test_the_ceiling_is_told(make_truth, monkeypatch, tmp_path):
    accuracies = np.random.default_rng(0).uniform(40, 60, (2, 12)) + np.arange(12)
    monkeypatch.setattr(
        truth_training, 'train_all', lambda *args: (x for x in accuracies.ravel().tolist())
    )
    code, out, _ = make_truth(
        'truth.json', '--archs', 12, '--constraints', 'params=20000', '--input-size', 32
    )
    assert code == 0 and (
        f'tau between repeats: {kendalltau(*accuracies).statistic:.3f}, the ceiling\n' in out
    )
    assert all(
        sum(map(int, arch)) < 10 for arch in json.loads((tmp_path / 'truth.json').read_text())
    ), 'heavy archs are left out'


@pytest.mark.parametrize(
    'config, arguments, message',
    [
        ('linear.py', [], r'linear.py: trains a supernet \(ArchSamplingHook\)'),
        ('learn.py', [], 'learn.py: no test_dataloader, test_evaluator'),
        ('none.py', [], 'none.py: no such config file'),
        (
            'finetune.py',
            ['--repeats', 0],
            "argument --repeats: '0', expected a whole number of at least 1",
        ),
        ('finetune.py', ['--constraints', 'macs=4e6'], '--input-size is needed'),
        ('finetune.py', ['--constraints', 'mac=4e6', '--input-size', 32], "unknown cost 'mac'"),
        ('finetune.py', ['--constraints', 'macs=4', '--input-size', 32], 'no arch of space'),
        (
            'finetune.py',
            ['--launcher', 'pytorch'],
            '--launcher pytorch: archs are trained in a process each',
        ),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(make_truth, tmp_path, config, arguments, message):
    code, _, error = make_truth('truth.json', *arguments, config=CONFIGS / config)
    assert code == 2 and re.match(rf'(make_truth\.py: )?error: .*{message}', error)
    assert not (tmp_path / 'truth.json').exists()
