"""What a training shows in a quiet terminal, compared with what mmengine logs of it."""

import re

import numpy as np
import pytest
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from mmengine.runner import Runner

from pinas_mm.console import quiet_terminal
from pinas_mm.engine.hooks import ProgressHook
from pinas_mm.engine.runner import build_runner


@pytest.fixture
def trained(tiny, capsys):
    """Trains through our runner; returns it and the lines of the terminal but the path of the log
    file."""

    def run(quiet=True, **kwargs):
        settings = (
            dict(
                model=tiny.classifier(arch='01201201'),
                train_dataloader=tiny.digits(),
                train_cfg=dict(by_epoch=True, max_epochs=2),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05)),
                default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
                val_dataloader=tiny.digits('held_out', indices=16),
                val_evaluator=dict(type='Accuracy', topk=(1, 3)),
                val_cfg=dict(),
            )
            | kwargs
        )
        capsys.readouterr()
        with quiet_terminal(verbose=not quiet):
            runner = build_runner(tiny.config(**settings))
            runner.train()
        lines = capsys.readouterr().out.splitlines()
        if quiet:
            # The path may be longer than a line.
            start = next(i for i, line in enumerate(lines) if line.startswith('log:'))
            end = start + 1 + (lines[start] == 'log:')
            assert ' '.join(lines[start:end]).split() == ['log:', runner.logger.log_file]
            del lines[start:end]
        return runner, lines

    return run


def log_of(runner):
    with open(runner.logger.log_file) as file:
        return file.read()


def test_a_training_is_few_lines_with_the_numbers_that_mmengine_logs(trained):
    runner, lines = trained()
    assert lines[0] == 'training: 64 images, 8 iterations in 2 epochs'
    steps = [line for line in lines if 'ETA' in line]
    assert len(steps) == 2 and len(lines) == 5
    # mmengine's lines: of each step the mean of the last ten losses.
    logged = re.findall(r'Epoch\(train\).* lr: (\S+) .* loss: (\S+)', log_of(runner))
    for line, step in zip(steps, (0, 7)):
        rate, loss = logged[step]
        assert f'loss {loss}' in line and f'lr {float(rate):.2e}' in line
    assert steps[0].startswith('epoch 1/2  1/8  12%') and steps[1].startswith(
        'epoch 2/2  8/8  100%'
    )
    accuracies = re.findall(
        r'Epoch\(val\).*accuracy/top1: (\S+)  accuracy/top3: (\S+)', log_of(runner)
    )
    for epoch, (top1, top3) in enumerate(accuracies, start=1):
        (line,) = [line for line in lines if line.startswith(f'epoch {epoch}/2  validation')]
        found = re.search(r'accuracy/top1 (\S+)  accuracy/top3 (\S+)', line)
        assert [float(value) for value in found.groups()] == pytest.approx(
            [float(top1), float(top3)], rel=1e-3
        )
    assert f'accuracy/top1 {float(accuracies[0][0]):.4g}' in steps[1]


def test_the_log_file_has_environment_and_config(trained):
    runner, lines = trained()
    for part in ('System environment', 'train_cfg=', 'Hooks will be executed', 'Epoch(train)'):
        assert part in log_of(runner) and not any(part in line for line in lines)


@METRICS.register_module()
class Loss(BaseMetric):
    """A metric with the name of a training's own number, as numpy gives it."""

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return dict(loss=np.float32(2.5), done=len(results))


def test_a_metric_may_be_called_as_a_number_of_the_training(trained):
    _, lines = trained(val_evaluator=dict(type='Loss'))
    assert any('validation  loss 2.5  done 1' in line for line in lines)
    (last,) = [line for line in lines if line.startswith('epoch 2/2  8/8')]
    assert 'val loss 2.5' in last and last.count(' loss ') == 2


def test_trainings_by_iterations(trained):
    runner, lines = trained(
        train_cfg=dict(by_epoch=False, max_iters=6, val_interval=3),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False)),
        log_processor=dict(by_epoch=False),
    )
    assert lines[0] == 'training: 64 images, 6 iterations'
    assert [line.split('  ')[0] for line in lines if 'validation' in line] == [
        'iteration 3/6',
        'iteration 6/6',
    ]
    assert lines[1].startswith('train  1/6  17%')


def test_a_resumed_training_says_what_is_done(trained, tiny):
    trained(train_cfg=dict(by_epoch=True, max_epochs=1))
    _, lines = trained(resume=True)
    assert lines[0] == 'training: 64 images, 8 iterations in 2 epochs, after 4 that are done'
    assert any(line.startswith('epoch 2/2  5/8  62%') for line in lines)


def test_a_test_is_a_line_with_its_metrics(trained, tiny, capsys):
    runner, _ = trained(
        test_dataloader=tiny.digits('test', indices=16),
        test_evaluator=dict(type='Accuracy', topk=(1,)),
        test_cfg=dict(),
    )
    with quiet_terminal():
        metrics = runner.test()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'test: 16 images' and lines[-1].startswith('test  accuracy/top1 ')
    assert float(lines[-1].split()[-1]) == pytest.approx(metrics['accuracy/top1'], rel=1e-3)


def test_archs_of_a_supernet_are_in_the_log_and_their_mean_is_shown(trained, tiny):
    archs = ['00000000', '01201201']
    runner, lines = trained(
        model=tiny.classifier(),
        custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')],
        train_cfg=dict(by_epoch=True, max_epochs=1),
        val_cfg=dict(
            type='pinas_mm.ArchValLoop',
            archs=archs,
            calibration_dataloader=tiny.digits(shuffle=True),
            calibration_batches=2,
        ),
    )
    logged = re.findall(r'arch (\d{8})  accuracy/top1: (\S+)', log_of(runner))
    assert [arch for arch, _ in logged] == archs
    assert not any(f'arch {archs[0]}' in line for line in lines)
    mean = sum(float(value) for _, value in logged) / 2
    (line,) = [line for line in lines if 'validation' in line]
    assert float(line.split('accuracy/top1 ')[1].split()[0]) == pytest.approx(mean, rel=1e-3)


def test_outside_of_a_quiet_terminal_it_shows_nothing(trained, monkeypatch):
    """Nor does it work out what nobody sees, at every iteration."""
    monkeypatch.setattr('pinas_mm.engine.hooks.progress_hook.scalars', lambda runner: 1 / 0)
    _, lines = trained(quiet=False)
    assert not any('ETA' in line or line.startswith('training:') for line in lines)


def test_a_runner_of_mmengine_may_have_it(tiny):
    runner = tiny.training(custom_hooks=[dict(type='pinas_mm.ProgressHook')])
    assert isinstance(runner, Runner) and any(
        isinstance(hook, ProgressHook) for hook in runner.hooks
    )
