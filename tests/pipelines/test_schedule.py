import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from pinas_mm.pipelines.schedule import lengthened


def rates(config, steps):
    """The learning rates of a config's schedulers, stepped together."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedulers = [
        PARAM_SCHEDULERS.build(dict(entry, optimizer=optimizer)) for entry in config.param_scheduler
    ]
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return found


def test_a_stretched_schedule_takes_the_same_values_more_slowly():
    config = Config(
        dict(
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=24),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.1, begin=0, end=8, by_epoch=False),
                dict(type='CosineAnnealingLR', T_max=16, begin=8, end=24, by_epoch=False),
            ],
        )
    )
    longer = lengthened(config, 3)
    assert longer.train_cfg.max_iters == 72 and config.train_cfg.max_iters == 24
    short, long = rates(config, 24), rates(longer, 72)
    # The cosine is the same function of the part of the training that is over.
    assert long[24::3] == pytest.approx(short[8:], abs=1e-6)
    assert long[:24] == sorted(long[:24]) and long[23] == pytest.approx(max(long), rel=0.05)


def test_milestones_move_with_the_training():
    config = Config(
        dict(
            train_cfg=dict(by_epoch=True, max_epochs=12),
            param_scheduler=[
                dict(type='MultiStepLR', milestones=[8, 11], gamma=0.1, by_epoch=True)
            ],
        )
    )
    half = lengthened(config, 0.5)
    assert half.train_cfg.max_epochs == 6 and half.param_scheduler[0].milestones == [4, 6]
    assert rates(half, 6) == pytest.approx([1, 1, 1, 1, 0.1, 0.1])


def test_a_schedule_of_one_step_is_left():
    config = Config(
        dict(
            train_cfg=dict(by_epoch=True, max_epochs=2),
            param_scheduler=dict(type='LinearLR', start_factor=0.1, begin=0, end=1, by_epoch=True),
        )
    )
    least = lengthened(config, 0.01)
    assert least.train_cfg.max_epochs == 1 and (
        least.param_scheduler.begin,
        least.param_scheduler.end,
    ) == (0, 1)
    assert (
        lengthened(Config(dict(train_cfg=dict(max_iters=5))), 2).train_cfg.max_iters == 10
    )  # a constant rate


def test_what_is_no_number_of_steps_stays():
    scheduler = dict(type='PolyLR', power=2, eta_min=0.5, begin=0, end=10, by_epoch=False)
    longer = lengthened(Config(dict(train_cfg=dict(max_iters=10), param_scheduler=[scheduler])), 4)
    assert longer.param_scheduler[0].to_dict() == scheduler | dict(end=40)
