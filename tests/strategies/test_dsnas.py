import copy
import itertools
import math
import re
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import amp
from mmpretrain.structures import DataSample
from torch import nn

from pinas_mm.costs import measure_costs
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableBackbone
from pinas_mm.spaces import Candidate, Position, SearchSpace
from pinas_mm.strategies import ArchLogits, DSNASAmpOptimWrapper, DSNASOptimWrapper, dsnas

# The toy: two slots, whose candidates are factors.

FACTORS = ((1.0, -0.5), (0.4, 1.2, 2.0))
PROBABILITIES = (np.array([0.6, 0.4]), np.array([0.2, 0.3, 0.5]))


class Factor(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x):
        return x * self.value


class ToyBackbone(SearchableBackbone):
    space = SearchSpace(
        'toy',
        tuple(
            tuple(Candidate(str(value), dict(value=value)) for value in slot) for slot in FACTORS
        ),
        tuple(Position(0, 1, 1, 1, (slot,)) for slot in range(2)),
        1,
    )

    def build_stem(self):
        return nn.Identity()

    def build_candidate(self, position, candidate):
        return Factor(candidate.block['value'])

    def residual_norms(self):
        return iter(())


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = ToyBackbone()


def linear(y):
    """Of the product of both slots' factors: linear in each slot's Z, not in both together."""
    return 0.7 * y


def squared(y):
    return (y - 1.5) ** 2


def exact_gradients(loss, reward=None):
    """Per slot the sum over archs of p(arch) * reward * grad ln p(choice); with the loss as reward
    the gradient of the expected loss."""
    total = [np.zeros(len(slot)) for slot in FACTORS]
    for arch in itertools.product(*(range(len(slot)) for slot in FACTORS)):
        y = FACTORS[0][arch[0]] * FACTORS[1][arch[1]]
        chance = PROBABILITIES[0][arch[0]] * PROBABILITIES[1][arch[1]]
        for slot, choice in enumerate(arch):
            total[slot] += (
                chance
                * (reward or loss)(y)
                * (np.eye(len(FACTORS[slot]))[choice] - PROBABILITIES[slot])
            )
    return total


def toy(**kwargs):
    model = Toy()
    wrapper = DSNASOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.0), **kwargs)
    wrapper.initialize_count_status(model, 0, -1)
    for row, values in zip(wrapper.logits.rows, PROBABILITIES):
        row.data.copy_(torch.from_numpy(values).log())
    return model, wrapper


def sampled_gradients(loss, passes=400, **kwargs):
    """Mean and standard error of the logits' gradients over many passes, a pair of them per
    slot."""
    model, wrapper = toy(**kwargs)
    wrapper.baseline = 1.0
    found = [], []
    for _ in range(passes):
        with wrapper.optim_context(model):
            y = model.backbone(torch.ones(1))[0]
        wrapper.backward(loss(y).sum())
        for slot, row in zip(found, wrapper.logits.rows):
            slot.append(row.grad.clone())
        wrapper.zero_grad()
    return [
        (
            torch.stack(slot).double().mean(dim=0).numpy(),
            torch.stack(slot).double().std(dim=0).numpy() / passes**0.5,
        )
        for slot in found
    ]


def assert_within(found, expected, errors=4.5):
    for (mean, error), values in zip(found, expected):
        assert (np.abs(mean - values) <= errors * error + 1e-7).all(), (mean, values, error)


def gate_reward(loss):
    """d loss / d gate of either slot, by hand: the gate multiplies y."""
    return {linear: lambda y: 0.7 * y, squared: lambda y: 2 * (y - 1.5) * y}[loss]


@pytest.mark.parametrize('loss', [linear, squared])
def test_the_gradient_is_the_expectation_of_grad_log_p_times_d_loss_d_gate(loss):
    assert_within(sampled_gradients(loss), exact_gradients(loss, gate_reward(loss)))


def test_for_a_loss_linear_in_each_slot_this_is_the_gradient_of_the_expected_loss():
    expected = exact_gradients(linear)
    for ours, exact in zip(exact_gradients(linear, gate_reward(linear)), expected):
        np.testing.assert_allclose(ours, exact, atol=1e-12)
    rows = [torch.from_numpy(np.log(values)).requires_grad_() for values in PROBABILITIES]
    means = [
        (row.softmax(dim=0) * torch.tensor(slot, dtype=torch.float64)).sum()
        for row, slot in zip(rows, FACTORS)
    ]
    linear(means[0] * means[1]).backward()
    for row, exact in zip(rows, expected):
        np.testing.assert_allclose(row.grad, exact, atol=1e-12)


def test_for_a_squared_loss_it_is_biased():
    """By how much, in this toy: 0.4 and 2.7 times the gradient it estimates."""
    ours, exact = exact_gradients(squared, gate_reward(squared)), exact_gradients(squared)
    bias = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(ours, exact)]
    assert bias == pytest.approx([0.39896, 2.65089], rel=1e-4)


def test_reinforce_is_unbiased_for_any_loss():
    assert_within(sampled_gradients(squared, reward='reinforce'), exact_gradients(squared))


@pytest.mark.parametrize('loss', [linear, squared])
@pytest.mark.parametrize('progress, temperature', [(0.0, 10.0), (0.5, 5.05), (1.0, 0.1)])
def test_gdas_is_straight_through_the_soft_choice(loss, progress, temperature):
    """Against a graph of Dong and Yang's equations 3 to 5: the hard choice forward, the soft one
    backward, and of each slot only the chosen candidate runs."""
    model, wrapper = toy(reward='gdas', arch_seed=7)
    wrapper.progress = progress
    for index in range(3):
        with wrapper.optim_context(model):
            y = model.backbone(torch.ones(1))[0]
        wrapper.backward(loss(y).sum())
        rng, total, leaves, chosen = np.random.default_rng((7, index, 0)), 1.0, [], []
        for values, factors in zip(PROBABILITIES, FACTORS):
            leaf = torch.from_numpy(np.log(values)).requires_grad_()
            noise = torch.from_numpy(rng.gumbel(size=len(values)))
            soft = ((leaf.log_softmax(dim=0) + noise) / temperature).softmax(dim=0)
            best = int(soft.argmax())
            hard = torch.eye(len(values), dtype=torch.float64)[best] + soft - soft.detach()
            total = total * hard[best] * factors[best]
            leaves.append(leaf)
            chosen.append(best)
        assert wrapper.arch == tuple(chosen)
        loss(total).backward()
        for row, leaf in zip(wrapper.logits.rows, leaves):
            torch.testing.assert_close(row.grad.double(), leaf.grad, rtol=1e-4, atol=1e-5)
        wrapper.zero_grad()


def test_gdas_fixes_no_slot_unless_asked_to():
    assert toy(reward='gdas')[1].fix_lead == 1 and toy()[1].fix_lead == 0.3
    assert toy(reward='gdas', fix_lead=0.5)[1].fix_lead == 0.5


def test_the_lead_is_looked_at_after_every_so_many_updates():
    model, wrapper = toy(fix_lead=0.1, fix_interval=3)
    fixed = []
    for _ in range(6):
        with wrapper.optim_context(model):
            y = model.backbone(torch.ones(1))[0]
        wrapper.backward(linear(y).sum())
        wrapper.step()
        wrapper.zero_grad()
        fixed.append(wrapper.logits.fixed.copy())
    assert fixed[0] == fixed[1] == [None, None] and fixed[2] == [0, 2] == fixed[5]


def test_the_baseline_is_a_running_mean_and_the_first_update_has_no_reward():
    model, wrapper = toy(reward='reinforce')
    baseline = None
    for _ in range(4):
        with wrapper.optim_context(model):
            y = model.backbone(torch.ones(1))[0]
        loss = squared(y).sum()
        wrapper.backward(loss)
        reward, arch = 0.0 if baseline is None else loss.item() - baseline, wrapper.arch
        row, probabilities = wrapper.logits.rows[1], wrapper.logits.rows[1].detach().softmax(dim=0)
        torch.testing.assert_close(
            row.grad, reward * (torch.eye(3)[arch[1]] - probabilities), rtol=1e-4, atol=1e-6
        )
        wrapper.step()
        wrapper.zero_grad()
        baseline = loss.item() if baseline is None else 0.95 * baseline + 0.05 * loss.item()
        assert wrapper.baseline == pytest.approx(baseline, rel=1e-5)


# A real model.

LR, MOMENTUM = 0.05, 0.9
CLOSE = dict(rtol=1e-5, atol=1e-8)


def build(backbone='SearchableMacroNet', channels=160, seed=0, **kwargs):
    init_default_scope('mmpretrain')
    torch.manual_seed(seed)
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type=f'pinas_mm.{backbone}', widen_factor=0.125) | kwargs,
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=channels),
        )
    ).train()


@pytest.fixture
def supernet():
    return build(zero_init_residual=False)


def wrapped(model, cls=DSNASOptimWrapper, lr=LR, **kwargs):
    wrapper = cls(optimizer=torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM), **kwargs)
    wrapper.initialize_count_status(model, 0, -1)
    return wrapper


def run_pass(model, wrapper, seed=0, scale=1.0, batch=4, size=16):
    """Forward and backward as a train step does them, without the update; returns the arch."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batch, 3, size, size, generator=generator)
    samples = [
        DataSample().set_gt_label(int(label))
        for label in torch.randint(10, (batch,), generator=generator)
    ]
    with wrapper.optim_context(model):
        loss = model.loss(images, samples)['loss'] * scale
    wrapper.backward(wrapper.scale_loss(loss))
    return wrapper.arch


def update(wrapper):
    wrapper.step()
    wrapper.zero_grad()


def weights(model):
    return {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def rows(wrapper):
    return [None if row.grad is None else row.grad.clone() for row in wrapper.logits.rows]


def values(model, wrapper):
    return SimpleNamespace(
        weights={name: parameter.detach().clone() for name, parameter in model.named_parameters()},
        logits=[row.detach().clone() for row in wrapper.logits.rows],
    )


def test_one_pass_gives_gradients_to_one_path_and_to_every_slot(supernet):
    plain, wrapper = copy.deepcopy(supernet), wrapped(supernet)
    arch = run_pass(supernet, wrapper)
    assert supernet.backbone.gates is None, 'the pass is over'
    plain.backbone.set_arch(arch)
    found = weights(supernet)
    ran = {
        parameter for module in supernet.backbone.path(arch) for parameter in module.parameters()
    } | {*supernet.head.parameters()}
    assert {
        name for name, parameter in supernet.named_parameters() if parameter in ran
    } == found.keys()
    assert all(row is not None for row in rows(wrapper))


def test_checkpointed_cells_run_again_with_their_gates():
    found = []
    for with_cp in (False, True):
        model = build('SearchableNASBench201', 8, with_cp=with_cp)
        wrapper = wrapped(model)
        run_pass(model, wrapper)
        found.append((rows(wrapper), weights(model)))
    torch.testing.assert_close(found[0], found[1])
    assert torch.stack(found[0][0]).abs().max() > 1e-3


def test_on_several_ranks_what_any_of_them_ran_has_a_gradient(monkeypatch):
    """In cells also of its own edges that lead nowhere, since the other ranks give those one."""
    models = [build('SearchableNASBench201', 8) for _ in range(2)]
    monkeypatch.setattr(dsnas, 'get_world_size', lambda: 2)
    found = []
    for rank, model in enumerate(models):
        monkeypatch.setattr(dsnas, 'get_rank', lambda rank=rank: rank)
        wrapper = wrapped(model)
        wrapper.passes = 3
        arch = run_pass(model, wrapper)
        assert arch == models[0].backbone.space.sample(
            np.random.default_rng((0, 3, rank)), wrapper.logits.probabilities()
        )
        found.append(
            {name: gradient.abs().max().item() > 0 for name, gradient in weights(model).items()}
        )
    assert found[0].keys() == found[1].keys() and found[0] != found[1]


def test_archs_are_a_function_of_seed_pass_rank_and_logits(supernet):
    wrapper, other = wrapped(supernet), wrapped(copy.deepcopy(supernet), arch_seed=1)
    first = [wrapper.draw_arch(rank) for rank in range(4)]
    assert first == [wrapper.draw_arch(rank) for rank in range(4)] and len(set(first)) == 4
    assert other.draw_arch(0) != first[0]
    assert run_pass(supernet, wrapper) == first[0] and wrapper.draw_arch(0) != first[0]


def test_accumulated_gradients_are_the_mean_over_the_passes(supernet):
    other = copy.deepcopy(supernet)
    wrapper, single = wrapped(supernet, accumulative_counts=2), wrapped(other)
    archs = [run_pass(supernet, wrapper, seed, scale=1 + seed) for seed in range(2)]
    assert archs[0] != archs[1]
    found = []
    for seed in range(2):
        assert run_pass(other, single, seed, scale=1 + seed) == archs[seed]
        found.append((weights(other), rows(single), single._loss))
        single.zero_grad()
    torch.testing.assert_close(wrapper.signal, single.signal, rtol=1e-3, atol=1e-5)
    total = weights(supernet)
    assert total.keys() == found[0][0].keys() | found[1][0].keys()
    for name, gradient in total.items():
        torch.testing.assert_close(
            gradient, sum(each[0][name] for each in found if name in each[0]) / 2, **CLOSE
        )
    for gradient, first, second in zip(rows(wrapper), found[0][1], found[1][1]):
        torch.testing.assert_close(gradient, (first + second) / 2, **CLOSE)
    wrapper.step()
    assert wrapper.baseline == pytest.approx(found[1][2] / 2, rel=1e-5) and wrapper._loss == 0


def test_accumulated_penalties_are_the_mean_too(supernet):
    found = []
    for counts in (1, 2):
        model = copy.deepcopy(supernet)
        wrapper = wrapped(
            model,
            accumulative_counts=counts,
            macs_limit=1e12,
            macs_coef=1.0,
            input_size=16,
            reward='reinforce',
        )
        wrapper.macs_limit = 1.0
        run_pass(model, wrapper)  # the first has no reward
        found.append(rows(wrapper))
    for whole, half in zip(*found):
        torch.testing.assert_close(half, whole / 2)
    assert all(whole.abs().max() > 1e-3 for whole in found[0][-3:])


# The MACs term.


@pytest.mark.parametrize('limit, applies', [(-1, True), (1, False)])
def test_the_macs_term_is_of_choice_blocks_in_steps_above_the_limit(supernet, limit, applies):
    other = copy.deepcopy(supernet)
    free = wrapped(other)
    arch = run_pass(other, free)
    table = measure_costs(supernet, 32)
    macs = table.arch_costs(arch)['macs'] - table.fixed['macs']  # without stem, tail and head
    wrapper = wrapped(supernet, macs_limit=macs + limit, macs_coef=0.05, input_size=32)
    assert run_pass(supernet, wrapper) == arch
    before = rows(free)
    for slot, gradient in enumerate(rows(wrapper)):
        leaf = torch.zeros(3, requires_grad=True)
        base = [0] * 8
        of_slot = (
            table.arch_costs(tuple(base[:slot] + [arch[slot]] + base[slot + 1 :]))['macs']
            - table.arch_costs(tuple(base))['macs']
        )
        of_slot += table.tables['macs'][slot][0]
        (0.05 * leaf.softmax(dim=0)[arch[slot]] * of_slot / 1e6).backward()
        torch.testing.assert_close(
            gradient - before[slot], leaf.grad if applies else torch.zeros(3), rtol=1e-3, atol=1e-6
        )


def test_by_default_the_macs_weigh_as_in_the_published_run_on_eight_gpus():
    """Hu et al.'s code divides the task's part of the logits' gradient by the number of GPUs twice
    (loss and ``ln p``), the MACs' part (1e-6) never, and then sums both over the GPUs."""
    gpus, space = 8, ToyBackbone.space
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    macs = [10 * torch.rand(len(slot), generator=generator) for slot in FACTORS]
    published = [torch.tensor(values).log().requires_grad_() for values in PROBABILITIES]
    ours = ArchLogits(space)
    for row, values in zip(ours.rows, PROBABILITIES):
        row.data.copy_(torch.from_numpy(values).log())
    _, wrapper = toy()
    for _ in range(gpus):
        arch = space.sample(rng)
        # d loss / d gate of this GPU's images: so small that either part counts.
        slopes = 1e-4 * torch.randn(2, generator=generator)
        for slot, (row, choice) in enumerate(zip(published, arch)):
            chance = row.softmax(dim=0)[choice]
            task = chance.log() / gpus * (slopes[slot] / gpus)
            (task + 1e-6 * chance * macs[slot][choice]).backward()
        chosen = torch.stack([table[choice] for table, choice in zip(macs, arch)])
        ours.add_gradients(arch, slopes / gpus, wrapper.macs_coef * chosen / gpus)
    for theirs, row in zip(published, ours.rows):
        torch.testing.assert_close(row.grad, theirs.grad.float() * gpus, rtol=1e-3, atol=1e-8)


def test_macs_of_shared_slots_count_every_cell():
    model = build('SearchableNASBench201', 8)
    wrapper = wrapped(model, macs_limit=1e12, input_size=32)
    by_hand = (
        sum(5 * 9 * channels**2 * size**2 for channels, size in ((2, 32), (4, 16), (8, 8))) / 1e6
    )
    for table in wrapper.slot_macs:
        assert table.tolist() == pytest.approx([0, 0, by_hand / 9, by_hand, 0])


# What has no signal.


def watched(monkeypatch, model, passes=20, **kwargs):
    said = []
    monkeypatch.setattr(dsnas, 'SIGNAL_PASSES', passes)
    monkeypatch.setattr(dsnas, 'print_log', lambda message, *unused: said.append(message))
    wrapper = wrapped(model, lr=0.01, **kwargs)
    for seed in range(passes):
        run_pass(model, wrapper, seed, batch=8)
        update(wrapper)
    return wrapper, said


def test_a_gate_before_a_bn_has_no_signal(supernet, monkeypatch):
    """In nasbench_macro every branch of a stage's first position, and the tail, begin with
    conv-BN."""
    wrapper, said = watched(monkeypatch, supernet)
    last = [
        index
        for index, position in enumerate(supernet.backbone.space.positions)
        if index == 7 or supernet.backbone.space.positions[index + 1].stage != position.stage
    ]
    assert wrapper.silent_slots() == last == [1, 4, 7]
    signal = wrapper.signal / 20
    others = [slot for slot in range(8) if slot not in last]
    assert signal[last].max() < 1e-5 < 1e-2 < signal[others].min(), (
        'the threshold lies far from both'
    )
    (message,) = said
    assert re.search(
        r'of slot\(s\) 1 \(.*e-0\d\), 4 \(.*e-0\d\), 7 \(.*e-0\d\) is below 0.001 of the median '
        r'over slots',
        message,
    )
    assert "reward='reinforce' learns from the loss" in message


def test_the_published_bn_eps_leaves_a_little_of_it(supernet, monkeypatch):
    """1e-2: against a BN of small variances that is not nothing, so that no warning is given."""
    for module in supernet.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-2
    wrapper, said = watched(monkeypatch, supernet)
    median = wrapper.signal.median()
    assert not said and wrapper.silent_slots() == []
    assert all(1e-3 * median < wrapper.signal[slot] < 0.2 * median for slot in (1, 4, 7))


def test_reinforce_needs_no_gate(supernet, monkeypatch):
    assert watched(monkeypatch, supernet, reward='reinforce')[1] == []


# Mixed precision, on a CPU.


@pytest.fixture
def scaled(monkeypatch):
    monkeypatch.setattr('pinas_mm.strategies.amp.get_device', lambda: 'cuda')
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(
        amp_optimizer_wrapper, 'GradScaler', partial(torch.amp.GradScaler, device='cpu')
    )
    monkeypatch.setattr(amp, 'autocast', lambda dtype: nullcontext())  # the scaler alone
    return partial(wrapped, cls=DSNASAmpOptimWrapper, loss_scale=dict(init_scale=1024.0))


@pytest.mark.parametrize('reward', ['linear', 'reinforce', 'gdas'])
def test_the_loss_scale_changes_nothing(supernet, scaled, reward):
    """Clipping included."""
    other, kwargs = (
        copy.deepcopy(supernet),
        dict(clip_grad=dict(max_norm=0.5), reward=reward, fix_lead=1.0),
    )
    pairs = [(supernet, scaled(supernet, **kwargs)), (other, wrapped(other, **kwargs))]
    for seed in range(3):
        for model, wrapper in pairs:
            run_pass(model, wrapper, seed)
        for ours, expected in zip(*(rows(wrapper) for _, wrapper in pairs)):
            torch.testing.assert_close(ours, expected, **CLOSE)
        assert torch.stack(rows(pairs[0][1])).abs().max() < 10, 'not scaled'
        for _, wrapper in pairs:
            update(wrapper)
    ours, expected = (values(*pair) for pair in pairs)
    torch.testing.assert_close(ours.weights, expected.weights, **CLOSE)


def test_an_update_with_an_overflow_is_left_out_whole(supernet, scaled):
    wrapper = scaled(supernet)
    run_pass(supernet, wrapper)
    update(wrapper)
    before = values(supernet, wrapper)
    run_pass(supernet, wrapper)
    supernet.head.fc.weight.grad.fill_(math.inf)  # the gates' gradients are finite
    update(wrapper)
    after = values(supernet, wrapper)
    torch.testing.assert_close(vars(after), vars(before), rtol=0, atol=0)
    assert wrapper.loss_scaler.get_scale() == 512 and wrapper.passes == 2
    run_pass(supernet, wrapper)
    update(wrapper)
    assert not any(
        torch.equal(*pair) for pair in zip(values(supernet, wrapper).logits, before.logits)
    )


def test_amp_state_round_trips(supernet, scaled):
    wrapper = scaled(supernet)
    run_pass(supernet, wrapper)
    update(wrapper)
    other = scaled(copy.deepcopy(supernet))
    other.load_state_dict(wrapper.state_dict())
    assert (
        other.passes == 1
        and other.loss_scaler.get_scale() == 1024
        and all(map(torch.equal, other.logits.rows, wrapper.logits.rows))
    )


# The state, and the warm-up.


def test_a_loaded_state_goes_on_as_one_never_stopped(supernet):
    """Also loaded before the wrapper knows its model, as the Runner does it."""
    wrapper = wrapped(supernet, fix_lead=0.02, logits_optimizer=dict(type='Adam', lr=0.02))
    for seed in range(4):
        run_pass(supernet, wrapper, seed)
        update(wrapper)
    assert 0 < sum(choice is not None for choice in wrapper.logits.fixed) < 8
    state, other = copy.deepcopy(wrapper.state_dict()), copy.deepcopy(supernet)
    again = DSNASOptimWrapper(
        optimizer=torch.optim.SGD(other.parameters(), lr=LR, momentum=MOMENTUM),
        fix_lead=0.02,
        logits_optimizer=dict(type='Adam', lr=0.02),
    )
    again.load_state_dict(state)
    again.initialize_count_status(other, 4, -1)
    for seed in range(4, 7):
        for model, each in ((supernet, wrapper), (other, again)):
            run_pass(model, each, seed)
            update(each)
    assert (
        again.arch == wrapper.arch
        and again.logits.fixed == wrapper.logits.fixed
        and again.baseline == wrapper.baseline
    )
    torch.testing.assert_close(
        vars(values(other, again)), vars(values(supernet, wrapper)), rtol=0, atol=0
    )
    assert torch.equal(again.signal, wrapper.signal)


def test_in_the_warm_up_only_weights_move(supernet):
    wrapper = wrapped(supernet)
    wrapper.learning = False
    run_pass(supernet, wrapper)
    assert rows(wrapper) == [None] * 8
    before = values(supernet, wrapper)
    update(wrapper)
    after = values(supernet, wrapper)
    assert all(map(torch.equal, before.logits, after.logits)) and not wrapper.logits_optimizer.state
    assert wrapper.baseline is not None, 'reinforce starts with a baseline'
    assert not torch.equal(before.weights['head.fc.weight'], after.weights['head.fc.weight'])


# Wrong input.


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(macs_limit=1e6), 'macs_limit=1e[+]06 of DSNASOptimWrapper: give input_size too'),
        (
            dict(macs_limit=1e3, input_size=32),
            'macs_limit=1000 of DSNASOptimWrapper: the least that the choice blocks of an arch of '
            'space '
            "'nasbench_macro' cost at this size is ",
        ),
    ],
)
def test_wrong_arguments_are_named(supernet, arguments, message):
    with pytest.raises(InputError, match=message):
        wrapped(supernet, **arguments)


def test_models_that_draw_archs_themselves_or_have_none_to_draw_are_refused():
    init_default_scope('mmpretrain')
    with pytest.raises(
        InputError, match='ImageClassifier has a subnet as its backbone, expected a supernet'
    ):
        wrapped(build(arch='22222222'))
    with pytest.raises(InputError, match='Linear has no searchable backbone as its backbone'):
        wrapped(nn.Linear(1, 1))
    inner = dict(
        type='ImageClassifier',
        backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.125),
    )
    with pytest.raises(
        InputError, match='FairStrategy draws its own archs; expected an mm model with a task loss'
    ):
        wrapped(MODELS.build(dict(type='pinas_mm.FairStrategy', model=inner)))


@pytest.mark.parametrize('scale', [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_training(supernet, scale):
    wrapper = wrapped(supernet)
    before = values(supernet, wrapper)
    with pytest.raises(
        FloatingPointError,
        match=r'the loss of arch \d{8} is (nan|inf) at pass 0: training has diverged',
    ):
        run_pass(supernet, wrapper, scale=scale)
    assert weights(supernet) == {}
    torch.testing.assert_close(vars(values(supernet, wrapper)), vars(before), rtol=0, atol=0)


def test_the_state_of_another_wrapper_is_refused(supernet):
    plain = OptimWrapper(torch.optim.SGD(supernet.parameters(), lr=LR))
    with pytest.raises(
        InputError,
        match='DSNASOptimWrapper: the checkpoint to resume was saved by another optimiser wrapper',
    ):
        wrapped(supernet).load_state_dict(plain.state_dict())


def elastic(reward='reinforce', **kwargs):
    model = MODELS.build(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(type='pinas_mm.ElasticResNet', depth=18, widen_factor=0.125),
            neck=dict(type='mmpretrain.GlobalAveragePooling'),
            head=dict(type='mmpretrain.LinearClsHead', num_classes=2, in_channels=64),
        )
    )
    wrapper = DSNASOptimWrapper(
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0), reward=reward, **kwargs
    )
    wrapper.initialize_count_status(model, 0, -1)
    return model, wrapper


def test_what_blocks_are_that_do_not_run_is_not_learned():
    model, wrapper = elastic()
    wrapper.baseline = 7.0
    with wrapper.optim_context(model):
        y = model.backbone(torch.randn(2, 3, 32, 32))[0]
    wrapper.backward(y.square().mean())
    space, arch = model.backbone.space, wrapper.arch
    idle = {
        slot
        for index in range(len(space.positions))
        if space.choice(index, arch) is None
        for slot in space.own_slots(index)
    }
    assert 0 < len(idle) < space.num_slots
    assert {slot for slot, row in enumerate(wrapper.logits.rows) if not row.grad.any()} == idle


def test_an_elastic_space_has_no_costs_of_single_slots_to_limit():
    with pytest.raises(
        InputError,
        match='macs_limit=1e\\+06 of DSNASOptimWrapper: no MACs of single slots are known of space '
        r"'elastic_resnet18', where a block reads several, such as \[0, 2\]; expected no macs_l",
    ):
        elastic(macs_limit=1e6, input_size=32)


def test_a_depth_is_not_learned_from_its_gate():
    """The norms of the next stage cancel the gate, so its gradient is a rounding error."""
    model, _ = elastic()
    backbone = model.backbone
    backbone.set_arch(backbone.space.largest)
    backbone.gates = torch.ones(backbone.space.num_slots, requires_grad=True)
    out = backbone(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)))[0]
    out.square().mean().backward()
    depths = [backbone.space.depth_slot(stage) for stage in range(4)]
    signal = backbone.gates.grad[depths].abs()
    assert depths == [0, 3, 6, 9] and (signal[:3] < 1e-4 * signal[3]).all()
    with pytest.raises(
        InputError,
        match="reward='linear' of DSNASOptimWrapper: slots 0, 3, 6, 9 of space 'elastic_resnet18' "
        "choose depths, .* expected reward='reinforce'",
    ):
        elastic(reward='linear')
