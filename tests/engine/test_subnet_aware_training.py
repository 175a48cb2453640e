import numpy as np
import pytest
import torch
import two_ranks_dynamics
from processes import on_two_ranks
from two_ranks import labelled
from two_ranks_dynamics import ACCUMULATIVE_COUNTS, STEPS, optimiser, results, schedule, strategy

from pinas_mm.errors import InputError

ITERATIONS, LR = 6, 0.05  # two epochs: 24 digits in batches of 8


def model(tiny, **backbone):
    config = tiny.classifier(widen_factor=0.125, **backbone)
    config['head']['in_channels'] = 160
    return config


def config(tiny, **kwargs):
    """What a config has more than a training with plain SGD: one line; and the authors'
    schedule."""
    return (
        dict(
            model=model(tiny),
            epochs=2,
            loader=tiny.digits(batch_size=8, indices=24),
            optim_wrapper=dict(
                type='pinas_mm.SubnetAwareOptimWrapper',
                input_size=32,
                optimizer=dict(type='SGD', lr=LR, momentum=0.9, weight_decay=1e-3),
            ),
            param_scheduler=[
                dict(type='PolyLR', power=1, eta_min=0, by_epoch=False, end=ITERATIONS + 1)
            ],
        )
        | kwargs
    )


def uniform(tiny, **kwargs):
    return config(tiny, custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')], **kwargs)


def fair(tiny, **kwargs):
    return config(tiny, model=dict(type='pinas_mm.FairStrategy', model=model(tiny), **kwargs))


def state(runner):
    buffers = {
        f'{key} {index}': entry['momentum_buffer']
        for key, each in runner.optim_wrapper.buffers.items()
        for index, entry in enumerate(each.values())
    }
    return {
        key: value.clone() for key, value in [*runner.model.state_dict().items(), *buffers.items()]
    }


def watch(runner):
    """Trains; the archs that ran in every iteration, and the LR and momentum groups of every step
    of SGD."""
    archs, steps = {}, {}
    runner.optim_wrapper = wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.model.backbone.register_forward_pre_hook(
        lambda backbone, _: (
            archs.setdefault(runner.iter, []).append(backbone.arch) if backbone.training else None
        )
    )
    wrapper.optimizer.register_step_pre_hook(
        lambda sgd, *_: steps.setdefault(runner.iter, []).append(
            (sgd.param_groups[0]['lr'], [*wrapper.pending])
        )
    )
    runner.train()
    return archs, steps


def authors_lr(runner, arch, iteration):
    return LR * (1 - iteration / ITERATIONS) ** runner.optim_wrapper.gamma(arch)


def test_on_top_of_uniform_sampling_the_lr_is_the_authors(tiny):
    runner = tiny.training(**uniform(tiny))
    archs, steps = watch(runner)
    assert (
        archs.keys() == steps.keys() == {*range(ITERATIONS)}
        and len({arch for (arch,) in archs.values()}) == ITERATIONS
    )
    for iteration, ((arch,), ((lr, groups),)) in enumerate(zip(archs.values(), steps.values())):
        assert groups == [arch[0]]
        assert lr == pytest.approx(authors_lr(runner, arch, iteration), rel=1e-9)
    assert runner.optim_wrapper.param_groups[0]['lr'] == pytest.approx(0)


@pytest.mark.parametrize('shared_slot', [None, 0])
def test_on_top_of_strict_fairness(tiny, shared_slot):
    runner = tiny.training(**fair(tiny, shared_slot=shared_slot))
    archs, steps = watch(runner)
    for iteration in range(ITERATIONS):
        slots = [sorted(choices) for choices in zip(*archs[iteration])]
        lrs = [authors_lr(runner, arch, iteration) for arch in archs[iteration]]
        if shared_slot is None:
            assert slots == [[0, 1, 2]] * 8
            assert (
                [lr for lr, _ in steps[iteration]] == pytest.approx(lrs)
                and len({*lrs}) == 3
                or iteration == 0
            )
        else:
            assert slots == [[archs[iteration][0][0]] * 3] + [[0, 1, 2]] * 7
            ((lr, groups),) = steps[iteration]
            assert lr == pytest.approx(np.mean(lrs)) and groups == [archs[iteration][0][0]]
    shared = {archs[iteration][0][0] for iteration in range(ITERATIONS)}
    assert (
        runner.optim_wrapper.buffers.keys() == (shared if shared_slot == 0 else {0, 1, 2})
        and len(shared) > 1
    )


def test_on_top_of_the_supervised_pi_model(tiny):
    """Two paths a step that differ in every slot: two groups, each with the LR of its path."""
    runner = tiny.training(
        **config(tiny, model=dict(type='pinas_mm.SupervisedPiStrategy', model=model(tiny)))
    )
    archs, steps = watch(runner)
    for iteration in range(ITERATIONS):
        first, second = archs[iteration]
        (lr0, groups), (lr1, _) = steps[iteration]
        assert groups == [first[0], second[0]] and first[0] != second[0]
        assert [lr0, lr1] == pytest.approx(
            [authors_lr(runner, arch, iteration) for arch in (first, second)]
        )
    assert runner.optim_wrapper.buffers.keys() == {0, 1, 2}
    teachers = {id(p) for p in runner.model.teacher.parameters()}
    assert not any(
        id(p) in teachers for each in runner.optim_wrapper.buffers.values() for p in each
    )


def test_a_shared_slot_that_is_not_there_is_refused(tiny):
    with pytest.raises(
        InputError, match="shared_slot=8, but space 'nasbench_macro' has slots 0 to 7"
    ):
        tiny.training(**fair(tiny, shared_slot=8))


def test_a_subnet_is_refused(tiny):
    runner = tiny.training(**config(tiny, model=model(tiny, arch='22222222')))
    with pytest.raises(
        InputError, match=r'built with arch=22222222: a supernet \(arch=None\) is needed'
    ):
        runner.train()


def test_two_paths_in_one_backward_pass_are_refused(tiny):
    runner = tiny.training(**config(tiny, model=tiny.pinas()))
    with pytest.raises(InputError, match='the two paths of PiNAS come in one backward pass'):
        runner.train()


class StoppedError(Exception):
    """As if the machine went down."""


def stop(runner):
    if runner.epoch == 1:
        raise StoppedError


def test_a_resumed_training_ends_as_one_never_stopped(tiny):
    whole = tiny.training(**uniform(tiny, work_dir=str(tiny.folder / 'whole')))
    whole.train()
    parts = uniform(tiny, work_dir=str(tiny.folder / 'parts'))
    stopped = tiny.training(**parts)
    stopped.register_hook(tiny.Record(before_train_epoch=stop), 'VERY_LOW')
    with pytest.raises(StoppedError):
        stopped.train()
    resumed = tiny.training(resume=True, **parts)
    resumed.train()
    ours, expected = state(resumed), state(whole)
    assert resumed.iter == whole.iter == ITERATIONS and len(whole.optim_wrapper.buffers) > 1
    assert ours.keys() == expected.keys() and all(
        torch.equal(ours[key], expected[key]) for key in ours
    )
    middle = state(stopped)
    assert {key.split()[0] for key in middle if ' ' in key} and not torch.equal(
        middle['head.fc.weight'], ours['head.fc.weight']
    )
    assert [group['peak_lr'] for group in resumed.optim_wrapper.param_groups] == [LR]


# Two ranks.


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('dynamics')
    on_two_ranks(two_ranks_dynamics.train, folder, folder)
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


@pytest.mark.distributed
def test_two_ranks_train_one_model_from_the_mean_of_their_gradients(ranks):
    """As one process whose losses are the means over both ranks' batches, with accumulated
    gradients and three paths a step."""
    assert all(
        torch.equal(ranks[0][part][name], ranks[1][part][name])
        for part in ranks[0]
        for name in ranks[0][part]
    )
    one = strategy()
    wrapper = optimiser(one)
    start = results(one, wrapper)['parameters']
    for step in range(STEPS):
        schedule(wrapper, step)
        for arch in one.draw_archs():
            one.backbone.set_arch(arch)
            wrapper.begin_pass(arch)
            batches = [one.data_preprocessor(labelled(rank, step), True) for rank in range(2)]
            loss = sum(one.model.loss(**batch)['loss'] for batch in batches) / 2
            wrapper.backward(loss / ACCUMULATIVE_COUNTS)
        one.step += 1
        if (step + 1) % ACCUMULATIVE_COUNTS == 0:
            wrapper.step()
            wrapper.zero_grad()
    expected = results(one, wrapper)
    assert len(expected['buffers']) == len(ranks[0]['buffers']) > len(start)
    for part in expected:
        torch.testing.assert_close(ranks[0][part], expected[part], rtol=1e-3, atol=1e-5)
    assert not any(
        torch.equal(start[name], value)
        for name, value in expected['parameters'].items()
        if 'stem' in name
    )
