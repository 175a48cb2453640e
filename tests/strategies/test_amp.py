import copy
import math

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample

from pinas_mm.errors import InputError
from pinas_mm.strategies import AmpOptimWrapper, DSNASAmpOptimWrapper, amp
from pinas_mm.strategies.subnet_aware import SubnetAwareAmpOptimWrapper

ARCH = (1, 2, 1, 0, 1, 2, 0, 1)
LR = 0.1


@pytest.fixture(autouse=True)
def bfloat16(monkeypatch):
    """A processor that has it; any computes with it."""
    monkeypatch.setattr(amp, 'computes_in_bfloat16', lambda: True)


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    return dict(
        inputs=torch.randint(0, 255, (8, 3, 32, 32), generator=generator).float(),
        data_samples=[DataSample().set_gt_label(i % 10) for i in range(8)],
    )


@pytest.fixture
def net(tiny):
    net = tiny.randomise(MODELS.build(tiny.classifier())).train()
    net.backbone.set_arch(ARCH)
    return net


def wrapped(net, cls, **kwargs):
    wrapper = cls(optimizer=torch.optim.SGD(net.parameters(), lr=LR), **kwargs)
    wrapper.initialize_count_status(net, 0, 10)
    if cls is DSNASAmpOptimWrapper:
        wrapper.draw_arch = lambda rank: ARCH
    return wrapper


FORMS = [
    (AmpOptimWrapper, {}),
    (DSNASAmpOptimWrapper, {}),
    (SubnetAwareAmpOptimWrapper, dict(input_size=32)),
]


@pytest.mark.parametrize('cls, kwargs', FORMS)
def test_a_step_on_a_cpu_is_one_within_torchs_autocast_to_bfloat16(net, data, cls, kwargs):
    by_hand, seen = copy.deepcopy(net), []
    with torch.autocast('cpu', torch.bfloat16):
        losses = by_hand(**by_hand.data_preprocessor(data, True), mode='loss')
    losses['loss'].backward()
    wrapper = wrapped(net, cls, **kwargs)
    net.backbone.stem[0].register_forward_hook(lambda *args: seen.append(args[-1].dtype))
    net.train_step(data, wrapper)
    assert seen == [torch.bfloat16]
    for ours, theirs in zip(net.parameters(), by_hand.parameters()):
        if theirs.grad is not None:
            # Gates of value 1 are factors, whose products are rounded.
            close = dict(rtol=0.05, atol=0.02) if cls is DSNASAmpOptimWrapper else {}
            torch.testing.assert_close(ours, theirs - LR * theirs.grad, **close)


@pytest.mark.parametrize('cls, kwargs', FORMS)
def test_there_is_no_loss_scale_on_a_cpu(net, data, cls, kwargs):
    wrapper = wrapped(net, cls, loss_scale=dict(init_scale=1024.0), **kwargs)
    net.train_step(data, wrapper)
    assert wrapper.loss_scaler.get_scale() == 1
    again = wrapped(net, cls, **kwargs)
    again.load_state_dict(wrapper.state_dict())


def test_a_gpu_resumes_what_a_cpu_saved(net, monkeypatch):
    state = wrapped(net, AmpOptimWrapper).state_dict()
    assert state['loss_scaler'] == {}
    wrapper = wrapped(net, AmpOptimWrapper)
    wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=2.0**10)  # as one on a GPU
    wrapper.load_state_dict(state)
    assert wrapper.loss_scaler.get_scale() == 2**10


def test_clipping_sees_the_gradients_as_they_are(net, data):
    wrapper = wrapped(net, AmpOptimWrapper, clip_grad=dict(max_norm=1e-3))
    before = [parameter.detach().clone() for parameter in net.parameters()]
    net.train_step(data, wrapper)
    moved = math.sqrt(
        sum((a.detach() - b).square().sum() for a, b in zip(net.parameters(), before))
    )
    assert moved == pytest.approx(LR * 1e-3, rel=0.02)


@pytest.mark.parametrize('cls, kwargs', FORMS)
def test_another_type_and_another_processor_are_refused(net, monkeypatch, cls, kwargs):
    with pytest.raises(InputError, match="dtype='float16' of .*AmpOptimWrapper: expected 'bflo"):
        wrapped(net, cls, dtype='float16', **kwargs)
    monkeypatch.setattr(amp, 'computes_in_bfloat16', lambda: False)
    with pytest.raises(InputError, match='no GPU, .*does not compute in bfloat16'):
        wrapped(net, cls, **kwargs)
