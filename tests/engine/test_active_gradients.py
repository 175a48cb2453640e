import pytest
import torch
import two_ranks
from processes import on_two_ranks
from two_ranks import (
    LR,
    MICRO_STEPS,
    PINAS_STEPS,
    arch,
    classifier,
    copies,
    labelled,
    optimiser,
    strategy,
)

from pinas_mm.engine import ActiveGradientDataParallel


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ranks')
    on_two_ranks(two_ranks.train, folder, folder)
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def by_hand(accumulative_counts):
    """Plain SGD on the mean over both ranks' batches of every micro step; no wrapper of ours, one
    process."""
    model, updates = classifier(), []
    for first in range(0, MICRO_STEPS, accumulative_counts):
        model.zero_grad()
        for step in range(first, first + accumulative_counts):
            for rank in range(2):
                model.backbone.set_arch(arch(model, step))
                data = model.data_preprocessor(labelled(rank, step), training=True)
                (
                    model.loss(data['inputs'], data['data_samples'])['loss']
                    / (2 * accumulative_counts)
                ).backward()
        updates.append(
            {
                name: None if p.grad is None else p.grad.clone()
                for name, p in model.named_parameters()
            }
        )
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= LR * parameter.grad
    return updates, copies(model.named_parameters())


@pytest.mark.distributed
@pytest.mark.parametrize('run, accumulative_counts', [('single', 1), ('accumulated', 2)])
def test_gradients_are_the_mean_over_the_ranks(ranks, run, accumulative_counts):
    updates, parameters = by_hand(accumulative_counts)
    for rank in ranks:
        assert len(rank[run]['updates']) == len(updates) == MICRO_STEPS // accumulative_counts
        for ours, expected in zip(rank[run]['updates'], updates):
            assert {name for name, value in ours.items() if value is None} == {
                name for name, value in expected.items() if value is None
            }
            for name, value in ours.items():
                if value is not None:
                    torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(rank[run]['parameters'], parameters, rtol=1e-6, atol=1e-9)
    assert same(ranks[0][run]['parameters'], ranks[1][run]['parameters'])


@pytest.mark.distributed
@pytest.mark.parametrize('run, accumulative_counts', [('single', 1), ('accumulated', 2)])
def test_only_active_gradients_are_averaged_once_per_update(ranks, run, accumulative_counts):
    model, result = classifier(), ranks[0][run]
    for number, gradients in enumerate(result['updates']):
        archs = [
            arch(model, step)
            for step in range(number * accumulative_counts, (number + 1) * accumulative_counts)
        ]
        ran = tuple(f'backbone.layers.{i}.{choice}.' for a in archs for i, choice in enumerate(a))
        ran += ('backbone.stem.', 'backbone.tail.', 'head.')
        active = {name for name, value in gradients.items() if value is not None}
        assert (
            active
            == {name for name, _ in model.named_parameters() if name.startswith(ran)}
            < gradients.keys()
        )
        assert result['calls'][number] == len(active)
    assert len(result['calls']) == len(result['updates'])


@pytest.mark.distributed
def test_pinas_on_two_ranks_is_one_model(ranks):
    first, second = (rank['pinas'] for rank in ranks)
    assert not same(first['own'], second['own']), 'the ranks were initialised differently'
    assert same(first['start'], second['start']) and same(first['start'], first['own']), (
        'rank 0 is what both start from'
    )
    assert first['archs'] == second['archs'] and len(set(map(str, first['archs']))) == PINAS_STEPS

    statistics = {name for name in first['state'] if name.endswith(('running_mean', 'running_var'))}
    for name, value in first['state'].items():
        if name not in statistics:
            assert torch.equal(value, second['state'][name]), name
    stems = [name for name in statistics if '.stem.' in f'.{name}']
    assert len(stems) == 4 and all(
        not torch.equal(first['state'][name], second['state'][name]) for name in stems
    )

    moved = {
        name
        for name, value in first['state'].items()
        if not torch.equal(value, first['start'][name])
    }
    assert {
        'queue',
        'queue_pointer',
        'step',
        'backbone.stem.0.weight',
        'teacher.backbone.stem.0.weight',
        'neck.fc0.weight',
    } <= moved
    assert (
        int(first['state']['step']) == PINAS_STEPS
        and int(first['state']['queue_pointer']) == 2 * 4 * PINAS_STEPS % 24
    )


@pytest.mark.distributed
def test_the_queue_takes_the_keys_of_both_ranks(ranks):
    first, second = (rank['pinas'] for rank in ranks)
    sent = torch.cat([keys for step in zip(first['keys'], second['keys']) for keys in step])
    state = first['state']
    assert torch.equal(torch.roll(state['queue'], -int(state['queue_pointer']), dims=0), sent[-24:])


@pytest.mark.distributed
def test_pinas_leaves_inactive_candidates_without_gradient(ranks):
    for rank in ranks:
        for archs, gradients in zip(rank['pinas']['archs'], rank['pinas']['updates'], strict=True):
            active = tuple(
                f'backbone.layers.{i}.{choice}.' for a in archs for i, choice in enumerate(a)
            )
            for name, gradient in gradients.items():
                if name.startswith('backbone.layers.'):
                    assert (gradient is not None) == name.startswith(active), name


@pytest.mark.distributed
@pytest.mark.parametrize(
    'run, kind, accumulative_counts',
    [
        ('fair', 'FairStrategy', 1),
        ('fair_accumulated', 'FairStrategy', 2),
        ('fair_apart', 'FairStrategy', 1),
        ('sandwich', 'SandwichStrategy', 1),
        ('supervised_pi', 'SupervisedPiStrategy', 1),
    ],
)
def test_a_strategys_passes_are_averaged_once_per_update(ranks, run, kind, accumulative_counts):
    """Against two models in one process, one per rank, that get the mean of both their
    gradients."""
    models = [strategy(kind), strategy(kind)]
    wrappers = [optimiser(model, [], accumulative_counts=accumulative_counts) for model in models]
    updates = []
    for step in range(2):
        for rank, (model, wrapper) in enumerate(zip(models, wrappers)):
            model.accumulate_gradients(labelled(rank, step), wrapper)
        if wrappers[0].should_update():
            pairs = [
                (a.grad, b.grad)
                for a, b in zip(*(model.parameters() for model in models))
                if a.grad is not None
            ]
            for first, second in pairs:
                first.copy_((first + second) / 2)
                second.copy_(first)
            updates.append(
                {
                    name: None if p.grad is None else p.grad.clone()
                    for name, p in models[0].named_parameters()
                }
            )
            for wrapper in wrappers:
                wrapper.step()
                wrapper.zero_grad()

    for rank, model in enumerate(models):
        result = ranks[rank][run]
        assert (
            len(result['updates'])
            == len(result['calls'])
            == len(updates)
            == 2 // accumulative_counts
        )
        for ours, expected in zip(result['updates'], updates):
            assert {name for name, value in ours.items() if value is None} == {
                name for name, value in expected.items() if value is None
            }
            for name, value in ours.items():
                if value is not None:
                    torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(
            result['state'], copies(model.state_dict().items()), rtol=1e-6, atol=1e-9
        )
    statistics = ('running_mean', 'running_var')
    parameters = [
        {name: value for name, value in rank[run]['state'].items() if not name.endswith(statistics)}
        for rank in ranks
    ]
    assert same(*parameters), 'also the teacher: its student is the same on both'


@pytest.mark.parametrize('accumulative_counts', [1, 2])
def test_on_one_rank_it_is_the_plain_training_step(accumulative_counts):
    plain, wrapped = classifier(), ActiveGradientDataParallel(classifier())
    records = [], []
    optimisers = [
        optimiser(model, updates, accumulative_counts=accumulative_counts)
        for model, updates in zip((plain, wrapped.module), records)
    ]
    for step in range(MICRO_STEPS):
        logs = []
        for model, trained, wrapper in (
            (plain, plain, optimisers[0]),
            (wrapped.module, wrapped, optimisers[1]),
        ):
            model.backbone.set_arch(arch(model, step))
            logs.append(trained.train_step(labelled(0, step), wrapper))
        assert logs[0].keys() == logs[1].keys() and torch.equal(logs[0]['loss'], logs[1]['loss'])
    assert same(copies(plain.state_dict().items()), copies(wrapped.module.state_dict().items()))
    assert len(records[0]) == len(records[1]) == MICRO_STEPS // accumulative_counts


def test_the_wrapper_passes_calls_on():
    model = ActiveGradientDataParallel(classifier()).eval()
    model.module.backbone.set_arch((1,) * 8)
    data = labelled(0, 0)
    expected = model.module.val_step(data)
    for outputs in (model.val_step(data), model.test_step(data)):
        assert all(
            torch.equal(ours.pred_score, theirs.pred_score)
            for ours, theirs in zip(outputs, expected, strict=True)
        )
    images = data['inputs'].float()
    assert torch.equal(model(images, mode='tensor'), model.module(images, mode='tensor'))
