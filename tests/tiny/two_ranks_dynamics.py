"""What test_subnet_aware_training.py runs on two ranks."""

import torch
from mmengine.registry import MODELS, init_default_scope
from two_ranks import copies, labelled

import pinas_mm  # noqa: F401
from pinas_mm.engine import ActiveGradientDataParallel
from pinas_mm.strategies.subnet_aware import SubnetAwareOptimWrapper

# A small LR: a rounding difference must not grow over the steps through BN over four images.
LR, STEPS, ACCUMULATIVE_COUNTS = 0.001, 4, 2


def strategy():
    """Strictly fair: three paths a step."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='pinas_mm.FairStrategy',
            model=dict(
                type='ImageClassifier',
                backbone=dict(
                    type='pinas_mm.SearchableMacroNet', widen_factor=0.125, zero_init_residual=False
                ),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=10, in_channels=160),
            ),
        )
    )
    model.init_weights()
    return model.train()


def optimiser(model):
    sgd = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9, weight_decay=0.01)
    wrapper = SubnetAwareOptimWrapper(
        optimizer=sgd, input_size=32, accumulative_counts=ACCUMULATIVE_COUNTS
    )
    wrapper.initialize_count_status(model, 0, STEPS)
    return wrapper


def schedule(wrapper, step):
    wrapper.optimizer.param_groups[0]['lr'] = LR * (1 - step / STEPS)


def results(model, wrapper):
    buffers = {
        f'{key} {index}': entry['momentum_buffer']
        for key, each in sorted(wrapper.buffers.items())
        for index, entry in enumerate(each.values())
    }
    return dict(parameters=copies(model.named_parameters()), buffers=buffers)


def train(rank, folder):
    """Writes ``folder/rank.pth``."""
    model = ActiveGradientDataParallel(strategy())
    wrapper = optimiser(model.module)
    for step in range(STEPS):
        schedule(wrapper, step)
        model.train_step(labelled(rank, step), wrapper)
    torch.save(results(model.module, wrapper), folder / f'{rank}.pth')
