import itertools
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from pinas_mm.engine.runner import build_runner

RUNTIME = Path(__file__).parents[2] / 'configs/_base_/default_runtime.py'
RUNS = itertools.count()


def state(runner):
    return {key: value.clone() for key, value in runner.model.state_dict().items()}


class StoppedError(Exception):
    """As if the machine went down."""


def stop(runner):
    if runner.epoch == 1:
        raise StoppedError


def run(tiny, folder, loader, stopped=False, **kwargs):
    """Two epochs, or one epoch and its checkpoint."""
    config = dict(
        train_dataloader=loader,
        model=tiny.pinas(),
        work_dir=str(tiny.folder / folder),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
        experiment_name=f'{folder}{next(RUNS)}',
        param_scheduler=[dict(type='CosineAnnealingLR', T_max=2, by_epoch=True)],
    )
    runner = build_runner(Config(Config.fromfile(RUNTIME).to_dict() | config | kwargs))
    if stopped:
        runner.register_hook(tiny.Record(before_train_epoch=stop), 'VERY_LOW')
        with pytest.raises(StoppedError):
            runner.train()
    else:
        runner.train()
    return runner


def pair(tiny, loader, **kwargs):
    """Two epochs in one go, and one epoch, then another in a new Runner."""
    whole = run(tiny, 'whole', loader, **kwargs)
    middle = state(run(tiny, 'parts', loader, stopped=True, **kwargs))
    torch.manual_seed(99)  # whatever ran in between
    return whole, middle, run(tiny, 'parts', loader, resume=True, **kwargs)


@pytest.mark.slow
def test_a_resumed_learning_stage_ends_as_one_never_stopped(tiny):
    whole, middle, resumed = pair(tiny, tiny.four_views(shuffle=True, indices=48))
    assert resumed.iter == whole.iter == 6 and int(resumed.model.step) == 6
    ours, expected = state(resumed), state(whole)
    assert (
        {'queue', 'queue_pointer', 'step', 'teacher.backbone.stem.0.weight'}
        <= ours.keys()
        == expected.keys()
    )
    for key, value in ours.items():
        assert torch.equal(value, expected[key]), key
    for key in (
        'queue',
        'step',
        'teacher.backbone.stem.0.weight',
        'backbone.stem.0.weight',
        'backbone.stem.1.running_mean',
    ):
        assert not torch.equal(ours[key], middle[key]), f'{key} moved in the second epoch'
    momenta = [
        [
            entry['momentum_buffer']
            for entry in runner.optim_wrapper.optimizer.state.values()
            if 'momentum_buffer' in entry
        ]
        for runner in (whole, resumed)
    ]
    assert len(momenta[0]) == len(momenta[1]) > 0 and all(map(torch.equal, *momenta))


@pytest.mark.slow
def test_a_resumed_strategy_ends_as_one_never_stopped(tiny):
    """Its step, which the archs and the ramp depend on, and its teacher are in the checkpoint."""
    strategy = dict(
        type='pinas_mm.SupervisedPiStrategy',
        ramp_steps=8,
        model=tiny.classifier(widen_factor=0.125),
    )
    strategy['model']['head']['in_channels'] = 160
    whole, middle, resumed = pair(tiny, tiny.digits(shuffle=True, indices=48), model=strategy)
    assert (
        resumed.iter == whole.iter == 6
        and int(resumed.model.step) == 6
        and int(middle['step']) == 3
    )
    ours, expected = state(resumed), state(whole)
    assert ours.keys() == expected.keys() == middle.keys()
    for key, value in ours.items():
        assert torch.equal(value, expected[key]), key
    for key in (
        'step',
        'teacher.backbone.stem.0.weight',
        'teacher.backbone.stem.1.running_mean',
        'backbone.stem.0.weight',
        'head.fc.bias',
    ):
        assert not torch.equal(ours[key], middle[key]), f'{key} moved in the second epoch'


@pytest.mark.slow
def test_random_augmentation_resumes_too(tiny):
    """DESIGN.md, what must always hold, 3: the RNG is in the checkpoint."""
    loader = tiny.four_views(shuffle=True, indices=32)
    loader['dataset']['pipeline'][0]['transforms'] = [
        [dict(type='RandomResizedCrop', scale=32, crop_ratio_range=(0.6, 1.0))]
    ]
    whole, _, resumed = pair(tiny, loader)
    ours, expected = state(resumed), state(whole)
    assert all(torch.equal(value, expected[key]) for key, value in ours.items())


@pytest.mark.slow
@pytest.mark.parametrize('indices, batches', [(40, 2)])
def test_only_whole_batches_are_learned_from(tiny, indices, batches):
    runner = run(tiny, 'whole', tiny.four_views(indices=indices, drop_last=True))
    assert runner.iter == 2 * batches and int(runner.model.queue_pointer) == 2 * 16 * batches % 24
