"""Small strategies, batches, optimiser wrappers that record, and the gradients of single passes."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample

import pinas_mm  # noqa: F401

KINDS = dict(
    fair='pinas_mm.FairStrategy',
    sandwich='pinas_mm.SandwichStrategy',
    supervised_pi='pinas_mm.SupervisedPiStrategy',
)
NUM_PASSES = dict(fair=3, sandwich=4, supervised_pi=2)


def classifier(**backbone):
    """With BN beside the backbone, and residual branches that do not start at zero."""
    return dict(
        type='ImageClassifier',
        backbone=dict(
            type='pinas_mm.SearchableMacroNet', widen_factor=0.125, zero_init_residual=False
        )
        | backbone,
        neck=dict(
            type='LinearNeck',
            in_channels=160,
            out_channels=24,
            gap_dim=2,
            norm_cfg=dict(type='BN1d'),
        ),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=24),
        data_preprocessor=dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=False),
    )


def config(kind, **kwargs):
    model = kwargs.pop('model', None) or classifier()
    return (
        dict(type=KINDS[kind], model=model)
        | (dict(input_size=32) if kind == 'sandwich' else {})
        | (dict(ramp_steps=0) if kind == 'supervised_pi' else {})  # no run tells its length
        | kwargs
    )


def build(kind, **kwargs):
    """Initialised (by torch's own initialisation: mm's logs every tensor) and in train mode."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    return MODELS.build(config(kind, **kwargs)).train()


def batch(step=0, size=6):
    generator = torch.Generator().manual_seed(step)
    images = torch.randint(256, (size, 3, 32, 32), generator=generator)
    labels = torch.randint(10, (size,), generator=generator)
    return dict(
        inputs=list(images),
        data_samples=[DataSample().set_gt_label(int(label)) for label in labels],
    )


def gradients(model):
    return {
        name: None if value.grad is None else value.grad.clone()
        for name, value in model.named_parameters()
    }


def recording(model, lr=0.0, wrapper=OptimWrapper, **kwargs):
    """An optimiser wrapper whose ``updates`` are the gradients of each update; by default it
    changes nothing."""
    sgd = torch.optim.SGD(model.parameters(), lr=lr)
    result = wrapper(optimizer=sgd, **kwargs)
    result.updates = []
    sgd.register_step_pre_hook(lambda *unused: result.updates.append(gradients(model)))
    return result


class CPUAmp(AmpOptimWrapper):
    """mmengine's, on a CPU: it asks for a GPU, and its scaler does nothing without one."""

    def __init__(self, **kwargs):
        asked, amp_optimizer_wrapper.is_cuda_available = (
            amp_optimizer_wrapper.is_cuda_available,
            lambda: True,
        )
        try:
            super().__init__(dtype='bfloat16', **kwargs)
        finally:
            amp_optimizer_wrapper.is_cuda_available = asked
        self.loss_scaler = torch.amp.GradScaler('cpu', init_scale=2.0**10)


def sum_of_passes(model, losses, autocast=False):
    """Gradients by name, each pass on its own: ``losses`` is a list of functions. None where no
    pass reaches a parameter."""
    named = dict(model.named_parameters())
    learned = {name: parameter for name, parameter in named.items() if parameter.requires_grad}
    total = dict.fromkeys(named)
    for loss in losses:
        with torch.autocast('cpu', torch.bfloat16) if autocast else nullcontext():
            value = loss()
        for name, gradient in zip(
            learned, torch.autograd.grad(value, list(learned.values()), allow_unused=True)
        ):
            if gradient is not None:
                total[name] = gradient if total[name] is None else total[name] + gradient
    return total


def assert_same_gradients(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name] is None) == (value is None), name
        if value is not None:
            torch.testing.assert_close(
                found[name], value, msg=lambda text, name=name: f'{name}: {text}', **tolerance
            )


@pytest.fixture
def nets():
    """The functions above."""
    return SimpleNamespace(
        kinds=KINDS,
        num_passes=NUM_PASSES,
        classifier=classifier,
        config=config,
        build=build,
        batch=batch,
        recording=recording,
        amp=CPUAmp,
        sum_of_passes=sum_of_passes,
        assert_same_gradients=assert_same_gradients,
    )
