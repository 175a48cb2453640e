import numpy as np
import pytest
from torch.optim import SGD

from pinas_mm.costs import measure_costs
from pinas_mm.engine.hooks import arch_sampling_hook
from pinas_mm.errors import InputError
from pinas_mm.spaces import arch_rng
from pinas_mm.spaces.nasbench_macro import NASBENCH_MACRO

ITERATIONS = 4  # an epoch: 64 digits in batches of 16


def watch(runner):
    """Trains; returns the arch of every iteration as the backbone ran it."""
    archs = []

    def note(backbone, inputs):
        if backbone.training:  # else costs are measured
            archs.append((runner.iter, backbone.arch))

    runner.model.backbone.register_forward_pre_hook(note)
    runner.train()
    assert [iteration for iteration, _ in archs] == list(
        range(archs[0][0], archs[0][0] + len(archs))
    )
    return [arch for _, arch in archs]


def expected(seed, iterations):
    """Uniform per slot, from a generator of (seed, iteration)."""
    return [
        tuple(np.random.default_rng((seed, t, 0)).integers(0, 3, 8).tolist())
        for t in range(iterations)
    ]


def config(seed=0):
    return dict(custom_hooks=[dict(type='pinas_mm.ArchSamplingHook', seed=seed)])


@pytest.mark.slow
def test_archs_are_a_function_of_seed_and_iteration(tiny):
    archs = watch(tiny.training(epochs=2, **config()))
    assert (
        archs
        == expected(0, 2 * ITERATIONS)
        == [NASBENCH_MACRO.sample(arch_rng(0, t)) for t in range(2 * ITERATIONS)]
    )
    assert len(set(archs)) == len(archs)
    again = watch(tiny.training(randomness=dict(seed=7), **config(seed=1)))
    assert again == expected(1, ITERATIONS) and not set(again) & set(archs)


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_the_same_archs(tiny):
    first = watch(tiny.training(epochs=1, **config()))
    rest = watch(tiny.training(epochs=3, resume=True, **config()))
    assert first + rest == expected(0, 3 * ITERATIONS)


def test_an_iteration_based_run_has_them_too(tiny):
    loader = tiny.digits() | dict(sampler=dict(type='InfiniteSampler', shuffle=False))
    assert watch(
        tiny.training(loader=loader, train_cfg=dict(by_epoch=False, max_iters=6), **config())
    ) == expected(0, 6)


def test_candidates_can_be_drawn_with_other_probabilities(tiny):
    hook = dict(type='pinas_mm.ArchSamplingHook', probabilities=[0, 3, 1])
    archs = watch(tiny.training(epochs=2, custom_hooks=[hook]))
    drawn = [np.random.default_rng((0, t, 0)) for t in range(2 * ITERATIONS)]
    assert archs == [
        tuple(int(rng.choice(3, p=[0, 0.75, 0.25])) for _ in range(8)) for rng in drawn
    ]
    assert set(sum(archs, ())) == {1, 2}


def binned(model, edges, iterations, probabilities=None):
    """Guo et al.'s sampling: a bin, then uniform archs until one lies in it, at most 500."""
    table = measure_costs(model, 32)
    for t in range(iterations):
        rng = np.random.default_rng((0, t, 0))
        index = int(rng.integers(len(edges) - 1))
        for _ in range(501):
            if probabilities is None:
                arch = tuple(rng.integers(0, 3, 8).tolist())
            else:
                arch = tuple(int(rng.choice(3, p=probabilities)) for _ in range(8))
            if edges[index] <= table.arch_costs(arch)['macs'] <= edges[index + 1]:
                break
        yield arch


@pytest.mark.parametrize('probabilities', [None, [0.5, 0.25, 0.25]])
def test_archs_within_bins_of_a_cost(tiny, probabilities):
    """A function of seed and iteration too, so that a resumed run goes on with them."""
    edges = [3e6, 3.5e6, 4e6, 4.5e6]
    hook = dict(
        type='pinas_mm.ArchSamplingHook',
        cost_bins=dict(macs=edges),
        input_size=32,
        probabilities=probabilities,
    )
    runner = tiny.training(epochs=1, custom_hooks=[hook])
    model = runner.model
    archs = watch(runner)
    archs += watch(tiny.training(epochs=3, resume=True, custom_hooks=[hook]))
    assert archs == list(binned(model, edges, 3 * ITERATIONS, probabilities))
    costs = measure_costs(model, 32).array('macs', archs)
    assert 3e6 <= costs.min() and costs.max() <= 4.5e6
    assert len(set(np.searchsorted(edges, costs))) == 3, 'every bin is drawn'
    assert archs != expected(0, 3 * ITERATIONS)


def test_a_bin_that_is_never_hit_leaves_any_arch(tiny, monkeypatch):
    """The least of all archs, one in 6,561, within three draws."""
    monkeypatch.setattr(arch_sampling_hook, 'MAX_DRAWS', 3)
    hook = dict(type='pinas_mm.ArchSamplingHook', input_size=32)
    runner = tiny.training()
    least = measure_costs(runner.model, 32).range('macs')[0]
    runner = tiny.training(custom_hooks=[dict(hook, cost_bins=dict(macs=[0, least]))])
    draws = []
    for t in range(ITERATIONS):
        rng = np.random.default_rng((0, t, 0))
        rng.integers(1)
        draws.append([tuple(rng.integers(0, 3, 8).tolist()) for _ in range(4)][-1])
    assert watch(runner) == draws


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(cost_bins=dict(macs=[1e6, 2e6])), 'cost_bins of ArchSamplingHook: give input_size'),
        (dict(cost_bins=dict(macs=[1e6]), input_size=32), r'cost_bins=.*expected one cost'),
        (dict(cost_bins=dict(macs=[2e6, 1e6]), input_size=32), r'cost_bins=.*rising'),
        (dict(cost_bins=dict(macs=[0, 1], params=[0, 1]), input_size=32), 'expected one cost'),
        (dict(cost_bins=dict(flops=[1e6, 2e6]), input_size=32), "unknown cost 'flops'"),
        (
            dict(cost_bins=dict(macs=[1e3, 2e3, 2e6]), input_size=32),
            r'no arch of nasbench_macro has macs from 1000 to 2000, they are from \S+ to \S+',
        ),
    ],
)
def test_wrong_bins_are_refused_before_the_first_step(tiny, arguments, message):
    with pytest.raises(InputError, match=message):
        tiny.training(custom_hooks=[dict(type='pinas_mm.ArchSamplingHook', **arguments)]).train()


@pytest.mark.parametrize(
    'probabilities, message',
    [
        (
            [0.5, 0.5],
            r'probabilities of ArchSamplingHook: \[2, 2, 2, 2, 2, 2, 2, 2\] numbers .* have \[3, '
            r'3, 3, 3, 3, 3, 3, 3\] candidates',
        ),
        ([[1, 1, 1]] * 7, r'\[3, 3, 3, 3, 3, 3, 3\] numbers'),
        ([1, 1, -1], 'probabilities.2=-1: expected a finite number of at least 0'),
        ([0, 0, 0], 'one of them above'),
    ],
)
def test_wrong_probabilities_are_refused_before_the_first_step(
    tiny, monkeypatch, probabilities, message
):
    hook = dict(type='pinas_mm.ArchSamplingHook', probabilities=probabilities)
    steps = []
    monkeypatch.setattr(SGD, 'step', lambda *_: steps.append(1))
    with pytest.raises(InputError, match=message):
        tiny.training(custom_hooks=[hook]).train()
    assert not steps


@pytest.mark.parametrize(
    'backbone, message',
    [
        (dict(arch='22222222'), r'built with arch=22222222: a supernet \(arch=None\) is needed'),
        (None, 'ImageClassifier has no searchable backbone'),
    ],
)
def test_what_is_no_supernet_is_refused_before_the_first_step(tiny, backbone, message):
    model = tiny.classifier(**backbone or {})
    if backbone is None:
        model |= dict(backbone=dict(type='MobileNetV2', widen_factor=0.25))
    runner = tiny.training(model=model, **config())
    with pytest.raises(InputError, match=message):
        runner.train()
    assert runner.iter == 0
