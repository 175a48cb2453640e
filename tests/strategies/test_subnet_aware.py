import copy
import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import MODELS, OPTIM_WRAPPERS, init_default_scope
from mmpretrain.structures import DataSample

from pinas_mm.costs import measure_costs
from pinas_mm.errors import InputError
from pinas_mm.spaces import arch_rng
from pinas_mm.strategies.subnet_aware import (
    SubnetAwareAmpOptimWrapper,
    SubnetAwareOptimWrapper,
    decay_ratio,
)

CLOSE = dict(rtol=1e-7, atol=1e-10)
LR, MOMENTUM, WEIGHT_DECAY, STEPS = 0.05, 0.9, 1e-2, 4


@pytest.fixture(scope='module')
def reference():
    """A supernet in double precision, so that rounding does not grow over the steps, and its
    costs."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(
                type='pinas_mm.SearchableMacroNet', widen_factor=0.125, zero_init_residual=False
            ),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=160),
        )
    )
    model.init_weights()
    costs = measure_costs(model, 32)
    return model.train().double(), costs


@pytest.fixture
def supernet(reference):
    return copy.deepcopy(reference[0])


def loss_of(model, arch, step):
    """The task loss of an arch on the batch of a step."""
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(4, 3, 16, 16, generator=generator, dtype=torch.float64)
    samples = [
        DataSample().set_gt_label(int(label))
        for label in torch.randint(10, (4,), generator=generator)
    ]
    model.backbone.set_arch(arch)
    return model.loss(images, samples)['loss']


def archs_of(model, step, passes=1):
    return [model.backbone.space.sample(arch_rng(0, step, draw)) for draw in range(passes)]


def sgd(model, lr=LR, **kwargs):
    return torch.optim.SGD(
        model.parameters(),
        **dict(lr=lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True) | kwargs,
    )


def wrapped(model, optimizer=None, cls=SubnetAwareOptimWrapper, **kwargs):
    wrapper = cls(optimizer=optimizer or sgd(model), input_size=32, **kwargs)
    wrapper.initialize_count_status(model.float(), 0, -1)
    model.double()
    return wrapper


def train(model, wrapper, lrs, passes=1):
    """Updates with the scheduled LRs, several passes in each."""
    for step, lr in enumerate(lrs):
        for group in wrapper.optimizer.param_groups:
            group['lr'] = lr * group.get('mult', 1)
        for arch in archs_of(model, step, passes):
            wrapper.backward(loss_of(model, arch, step))
        wrapper.step()
        wrapper.zero_grad()
    return copies(model)


def copies(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same(first, second, **tolerance):
    torch.testing.assert_close(first, second, **tolerance or dict(rtol=0, atol=0))


EVERY_ARCH = np.array(list(itertools.product(range(3), repeat=8)))


def gammas(costs, archs, gamma_max=4.0):
    """The decay ratios in the authors' notation: w * ln(C) + tau."""
    every = costs.array('macs', EVERY_ARCH)
    w = -(gamma_max - 1 / gamma_max) / (np.log(every.max()) - np.log(every.min()))
    tau = 1 / gamma_max - w * np.log(every.max())
    return w * np.log(costs.array('macs', archs)) + tau


# The formulas.


def test_the_decay_ratio_is_linear_in_the_logarithm_of_the_complexity():
    assert (
        decay_ratio(100, 1, 100) == 0.25
        and decay_ratio(1, 1, 100) == 4
        and decay_ratio(10, 1, 100) == (4 + 0.25) / 2
    )
    assert decay_ratio(10, 1, 1000, gamma_max=2) == pytest.approx(0.5 + 1.5 * 2 / 3)
    assert decay_ratio(7, 1, 100, gamma_max=1) == 1 and decay_ratio(5, 5, 5) == 1


def test_gamma_is_the_authors_formula(supernet, reference):
    archs = [(0,) * 8, *archs_of(supernet, 0, 20)]
    wrapper = wrapped(supernet, gamma_max=3)
    np.testing.assert_allclose(
        [wrapper.gamma(arch) for arch in archs], gammas(reference[1], archs, 3), rtol=1e-12
    )
    by_params = wrapped(supernet, complexity='params')
    costs = reference[1].array('params', EVERY_ARCH)
    assert by_params.cost_range == (costs.min(), costs.max()) != wrapper.cost_range


# One pass per update.


@pytest.mark.parametrize('slot', [0, 5])
def test_momentum_groups_are_separate_optimisers_of_the_same_weights(supernet, slot, reference):
    other = copy.deepcopy(supernet)
    ours = train(supernet, wrapped(supernet, gamma_max=1, momentum_slot=slot), [LR] * STEPS)
    optimizers, groups = [sgd(other) for _ in range(3)], set()
    for step in range(STEPS):
        (arch,) = archs_of(other, step)
        groups.add(arch[slot])
        loss_of(other, arch, step).backward()
        optimizers[arch[slot]].step()
        optimizers[arch[slot]].zero_grad()
    assert len(groups) > 1
    same(ours, copies(other))


def test_the_lr_of_an_arch_is_the_authors(supernet, reference):
    """One SGD per candidate of the slot, each with lr0 * (1 - t / T) ** gamma."""
    other = copy.deepcopy(supernet)
    ours = train(
        supernet, wrapped(supernet, momentum_slot=2), [LR * (1 - t / STEPS) for t in range(STEPS)]
    )
    optimizers = [sgd(other) for _ in range(3)]
    for step in range(STEPS):
        (arch,) = archs_of(other, step)
        optimizer = optimizers[arch[2]]
        optimizer.param_groups[0]['lr'] = LR * (1 - step / STEPS) ** gammas(reference[1], [arch])[0]
        loss_of(other, arch, step).backward()
        optimizer.step()
        optimizer.zero_grad()
    same(ours, copies(other), **CLOSE)


def test_a_step_leaves_the_buffers_of_other_groups_alone(supernet):
    wrapper = wrapped(supernet)
    before = {}
    for step, first in enumerate((0, 1, 0)):
        wrapper.backward(loss_of(supernet, (first, *[step] * 7), step))
        wrapper.step()
        wrapper.zero_grad()
        for key, buffers in before.items():
            now = [entry['momentum_buffer'] for entry in wrapper.buffers[key].values()]
            assert all(torch.equal(*pair) for pair in zip(buffers, now)) == (key != first)
        before = {
            key: [entry['momentum_buffer'].clone() for entry in each.values()]
            for key, each in wrapper.buffers.items()
        }
    assert before.keys() == {0, 1} and not wrapper.optimizer.state


def test_what_did_not_run_does_not_move(supernet):
    wrapper = wrapped(supernet)
    train(supernet, wrapper, [LR] * 3)
    start = copies(supernet)
    wrapper.backward(loss_of(supernet, (1,) * 8, 0))
    wrapper.step()
    for name, parameter in supernet.named_parameters():
        ran = not name.startswith('backbone.layers.') or name.split('.')[3] in ('1', 'shortcut')
        assert torch.equal(parameter, start[name]) != ran, name


@pytest.mark.parametrize(
    'passes, clip', [(1, None), (1, dict(max_norm=0.5)), (3, dict(max_norm=0.5))]
)
def test_without_groups_and_decay_ratios_it_is_the_plain_wrapper(supernet, passes, clip):
    other = copy.deepcopy(supernet)
    lrs = [LR / (1 + step) for step in range(3)]
    wrapper = wrapped(
        supernet,
        gamma_max=1,
        momentum_slot=None,
        clip_grad=clip and dict(clip),
        accumulative_counts=passes,
    )
    ours = train(supernet, wrapper, lrs, passes)
    plain = train(
        other,
        OptimWrapper(sgd(other), clip_grad=clip and dict(clip), accumulative_counts=passes),
        lrs,
        passes,
    )
    same(
        ours, plain, **(CLOSE if clip and passes > 1 else {})
    )  # the norm's terms may come in another order


def test_the_scheduled_lr_stays_and_a_warm_up_is_as_scheduled(supernet):
    wrapper = wrapped(supernet)
    (group,) = wrapper.optimizer.param_groups
    seen = []
    wrapper.optimizer.register_step_pre_hook(lambda *_: seen.append(group['lr']))
    heavy, light = (2,) * 8, (0,) * 8
    for arch, lr in (
        (light, 0.0),
        (light, 0.01),
        (heavy, 0.02),
        (light, 0.08),
        (heavy, 0.04),
        (light, 0.04),
        (heavy, 0.0),
        (heavy, 0.08),
    ):
        group['lr'] = lr
        wrapper.backward(loss_of(supernet, arch, 0) * 0)
        wrapper.step()
        wrapper.zero_grad()
        assert group['lr'] == lr and group['weight_decay'] == WEIGHT_DECAY
    (gamma,) = gammas(wrapper.costs, [light])
    assert wrapper.gamma(heavy) != gamma
    np.testing.assert_allclose(
        seen, [0, 0.01, 0.02, 0.08, 0.08 * 0.5 ** wrapper.gamma(heavy), 0.08 * 0.5**gamma, 0, 0.08]
    )


# Several passes per update.


def by_hand(model, costs, lrs, passes, slot, mult):
    """SGD with nesterov as the docstring has it, from the gradients of the single passes."""
    buffers, peak = {}, 0
    for step, lr in enumerate(lrs):
        peak = max(peak, lr)
        archs, gradients = archs_of(model, step, passes), []
        for arch in archs:
            model.zero_grad()
            loss_of(model, arch, step).backward()
            gradients.append(
                {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            )
        factors = [(lr / peak) ** (gamma - 1) for gamma in gammas(costs, archs)]
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                ran = {arch[slot] for arch, each in zip(archs, gradients) if name in each}
                move = 0
                for key in ran:
                    members = [i for i in range(passes) if archs[i][slot] == key]
                    mean = np.mean([factors[i] for i in members])
                    gradient = sum(
                        factors[i] / mean * gradients[i][name]
                        for i in members
                        if name in gradients[i]
                    )
                    gradient = gradient + WEIGHT_DECAY * parameter / len(ran)
                    buffer = (
                        MOMENTUM * buffers[key, name] + gradient
                        if (key, name) in buffers
                        else gradient.clone()
                    )
                    buffers[key, name] = buffer
                    move = move + lr * mult(name) * mean * (gradient + MOMENTUM * buffer)
                parameter -= move
    return copies(model)


@pytest.mark.slow
def test_every_pass_goes_with_its_own_lr_into_its_own_group(supernet, reference):
    other = copy.deepcopy(supernet)
    lrs = [LR * (1 - t / STEPS) for t in range(STEPS)]
    head = {*supernet.head.parameters()}
    groups = [
        dict(params=[p for p in supernet.parameters() if p not in head], mult=1),
        dict(params=[*head], mult=0.5),
    ]
    optimizer = torch.optim.SGD(
        groups, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
    )
    ours = train(supernet, wrapped(supernet, optimizer, momentum_slot=3), lrs, 4)
    same(
        ours,
        by_hand(other, reference[1], lrs, 4, 3, lambda name: 0.5 if name.startswith('head') else 1),
        **CLOSE,
    )


def test_a_strategy_says_which_arch_a_pass_is_of(supernet):
    wrapper = wrapped(supernet)
    loss = loss_of(supernet, (2,) * 8, 0)
    supernet.backbone.set_arch((1,) * 8)
    wrapper.begin_pass((2,) * 8)
    wrapper.backward(loss)
    assert wrapper.pending.keys() == {2}
    gradients = wrapper.held_gradients()
    assert len(gradients) > 10 and all(p.grad is None for p in supernet.parameters())
    wrapper.zero_grad()
    assert not wrapper.held_gradients()


# Mixed precision, on a CPU.


@pytest.fixture
def amp(monkeypatch):
    monkeypatch.setattr('pinas_mm.strategies.amp.get_device', lambda: 'cuda')
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(
        amp_optimizer_wrapper, 'GradScaler', partial(torch.amp.GradScaler, device='cpu')
    )
    return partial(
        wrapped, cls=SubnetAwareAmpOptimWrapper, loss_scale=dict(init_scale=1024.0), momentum_slot=1
    )


def test_the_loss_scale_changes_nothing(supernet, amp):
    other = copy.deepcopy(supernet)
    lrs = [LR, LR / 2]
    ours = train(supernet, amp(supernet, clip_grad=dict(max_norm=0.5)), lrs, 3)
    same(
        ours,
        train(other, wrapped(other, momentum_slot=1, clip_grad=dict(max_norm=0.5)), lrs, 3),
        **CLOSE,
    )


def test_an_update_with_an_overflow_is_left_out_whole(supernet, amp):
    wrapper = amp(supernet)
    start = train(supernet, wrapper, [LR])
    buffers = {
        key: [entry['momentum_buffer'].clone() for entry in each.values()]
        for key, each in wrapper.buffers.items()
    }
    wrapper.backward(loss_of(supernet, (0,) * 8, 0))
    wrapper.backward(loss_of(supernet, (1,) * 8, 0) * math.inf)
    wrapper.step()
    wrapper.zero_grad()
    same(start, copies(supernet))
    assert wrapper.loss_scaler.get_scale() == 512
    for key, each in buffers.items():
        assert all(
            map(
                torch.equal,
                each,
                [entry['momentum_buffer'] for entry in wrapper.buffers[key].values()],
            )
        )
    assert not any(
        torch.equal(*pair)
        for pair in zip(train(supernet, wrapper, [LR])['head.fc.weight'], start['head.fc.weight'])
    )
    state = wrapper.state_dict()
    assert state['loss_scaler']['scale'] == 512 and state['momentum']['slot'] == 1
    again = amp(supernet)
    again.load_state_dict(state)
    assert again.loss_scaler.get_scale() == 512 and again.buffers.keys() == wrapper.buffers.keys()


# Wrong input.


def test_a_slot_that_is_not_there_is_named(supernet):
    message = "momentum_slot=8, but space 'nasbench_macro' has slots 0 to 7"
    with pytest.raises(InputError, match=message):
        wrapped(supernet, momentum_slot=8)


def test_only_sgd_has_momentum_known_how_to_keep_apart(supernet):
    for optimizer, name in (
        (torch.optim.Adam(supernet.parameters()), 'Adam'),
        (sgd(supernet, maximize=True), 'SGD'),
    ):
        with pytest.raises(
            InputError, match=rf'the optimizer is {name}, expected SGD \(not maximize\)'
        ):
            wrapped(supernet, optimizer)


def test_momentum_of_another_training_is_refused(supernet):
    wrapper = wrapped(supernet)
    with pytest.raises(InputError, match='saved by another optimiser wrapper'):
        wrapper.load_state_dict(OptimWrapper(sgd(supernet)).state_dict())
    with pytest.raises(
        InputError, match='momentum_slot=0, but the checkpoint to resume was trained with 3'
    ):
        wrapper.load_state_dict(wrapped(supernet, momentum_slot=3).state_dict())


def test_without_a_model_it_says_so(supernet):
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='pinas_mm.SubnetAwareOptimWrapper', optimizer=sgd(supernet), input_size=32)
    )
    with pytest.raises(RuntimeError, match='knows no model yet'):
        wrapper.backward(loss_of(supernet, (0,) * 8, 0))
