import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pinas_mm.models import MeanTeacher, PiNAS
from pinas_mm.scoring import bn_recalibration

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'benchmarks/gpu_check.py'


@pytest.mark.slow
def test_every_check_passes_on_a_cpu_with_few_packages(tmp_path):
    """mmcv has no operators, and neither mmdet nor mmseg nor the searchers' libraries are there."""
    out = tmp_path / 'gpu.json'
    command = [sys.executable, ROOT / 'tests/tiny/few_packages.py', SCRIPT]
    ran = subprocess.run(
        [*command, '--device', 'cpu', '--small', '--out', out], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = json.loads(out.read_text())
    names = [result['name'] for result in report['checks']]
    assert names == (
        'step throughput compiled finite evaluation latency group dsnas export sync'.split()
    )
    assert [line.split()[:2] for line in ran.stdout.splitlines() if 'PASS' in line] == [
        [name, 'PASS'] for name in names
    ]
    assert report['small'] and report['device'] == 'cpu' and report['torch'] == torch.__version__
    for result in report['checks']:
        assert result['passed'] and result['figures'] and result['error'] is None
        assert result['seconds'] < 60


@pytest.fixture
def checks(tmp_path):
    spec = importlib.util.spec_from_file_location('gpu_check', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules['gpu_check'] = module  # its dataclass looks for it there
    spec.loader.exec_module(module)
    module.imports()
    yield module
    del sys.modules['gpu_check']


def run(checks, *names, limit=360):
    found = checks.run(checks.Setting('cpu', True), list(names), limit)
    return {result['name']: result for result in found}


@pytest.mark.slow
def test_a_teacher_that_stays_where_it_was_fails_the_step(checks, monkeypatch):
    update, calls = MeanTeacher.update, []

    def only_in_the_reference(self, *args):
        calls.append(args)
        if len(calls) <= 2:
            update(self, *args)

    monkeypatch.setattr(MeanTeacher, 'update', only_in_the_reference)
    step = run(checks, 'step')['step']
    assert not step['passed'] and step['figures']['float32']['teacher'] > 1e-5


@pytest.mark.slow
def test_bn_that_is_not_recalibrated_fails_the_evaluation(checks, monkeypatch):
    def without_learning(model, *args):
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 0.0
        return run_forward(model, *args)

    run_forward = bn_recalibration.run_forward
    monkeypatch.setattr(bn_recalibration, 'run_forward', without_learning)
    evaluation = run(checks, 'evaluation')['evaluation']
    assert not evaluation['passed'] and evaluation['figures']['recalibrated_by'] < 1e-3


def test_reading_a_number_fails_the_count_of_waits_and_the_other_checks_go_on(
    checks, monkeypatch, capsys
):
    enqueue = PiNAS.enqueue

    def reading(self, keys):
        int(self.queue_pointer)
        enqueue(self, keys)

    monkeypatch.setattr(PiNAS, 'enqueue', reading)

    def broken(setting):
        raise RuntimeError('of a kernel')

    monkeypatch.setitem(checks.CHECKS, 'export', broken)
    found = run(checks, 'export', 'sync')
    assert not found['sync']['passed'] and found['sync']['figures']['_local_scalar_dense'] == 1
    assert not found['export']['passed'] and found['export']['error'] == 'RuntimeError: of a kernel'
    assert capsys.readouterr().out.splitlines()[0].startswith('export      FAIL  RuntimeError: of')


def test_a_check_for_which_no_time_is_left_fails(checks):
    assert run(checks, 'sync', limit=-1)['sync']['error'].startswith('TimeoutError: not started')
