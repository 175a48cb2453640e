"""Unsupervised domain adaptation through real Runners: grey digits with labels, inverted ones
without."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from tiny_runner import Tiny

from pinas_mm.errors import InputError
from pinas_mm.tasks.domains.digit_domains import write_digit_domain

PACKED = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
ALIGNMENTS = dict(
    DANN=dict(type='pinas_mm.DANN', hidden_channels=16, dropout=0.0),
    CDAN=dict(
        type='pinas_mm.CDAN',
        hidden_channels=16,
        dropout=0.0,
        max_product=100,
        randomised_channels=32,
        entropy_weighting=True,
    ),
    MMD=dict(type='pinas_mm.MMD'),
)


@pytest.fixture(scope='module')
def office(tmp_path_factory):
    """Two domains in Office-Home's layout, and annotation files of the target with its labels and
    with wrong ones."""
    root = tmp_path_factory.mktemp('office')
    write_digit_domain(root / 'Art', 'grey', num_images=64)
    write_digit_domain(root / 'Clipart', 'inverted', num_images=48, seed=1)
    paths = sorted(
        path.relative_to(root / 'Clipart') for path in (root / 'Clipart').glob('*/*.png')
    )
    labels = [int(path.parts[0]) for path in paths]
    shuffled = np.random.default_rng(0).permutation(labels).tolist()
    for name, values in (('true', labels), ('shuffled', shuffled), ('constant', [9] * len(paths))):
        (root / f'{name}.txt').write_text(
            ''.join(f'{path} {label}\n' for path, label in zip(paths, values))
        )
    return root


@pytest.fixture
def tiny(tmp_path):
    init_default_scope('mmpretrain')
    return Tiny(tmp_path)


def folder(path, **kwargs):
    return (
        dict(type='CustomDataset', data_root=str(path), pipeline=PACKED, serialize_data=False)
        | kwargs
    )


def loader(dataset, **kwargs):
    return (
        dict(
            batch_size=16,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dataset,
        )
        | kwargs
    )


def both_domains(office, target=None):
    pair = dict(
        type='pinas_mm.DomainPair',
        source=folder(office / 'Art'),
        target=target or folder(office / 'Clipart'),
    )
    return loader(pair, sampler=dict(type='pinas_mm.DomainSampler'))


def model(tiny, alignment='DANN'):
    return tiny.classifier(widen_factor=0.125) | dict(
        type='pinas_mm.DomainAdaptiveClassifier',
        head=dict(type='LinearClsHead', num_classes=10, in_channels=160),
        alignment=ALIGNMENTS[alignment],
    )


def training(tiny, data, iterations=4, alignment='DANN', **kwargs):
    return tiny.training(
        **dict(
            model=model(tiny, alignment),
            loader=data,
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations),
            custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')],
            default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        )
        | kwargs
    )


def trained(*args, **kwargs):
    runner = training(*args, **kwargs)
    runner.train()
    return runner


def same(first, second):
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) for key, value in first.items()
    )


@pytest.mark.slow
@pytest.mark.parametrize('alignment', ['CDAN', 'MMD'])
def test_the_target_s_labels_change_no_bit_of_the_training(tiny, office, alignment):
    """The same images with their labels, shuffled ones, all the same, or none at all: the same
    weights."""
    targets = [
        folder(office / 'Clipart', ann_file=f'../{name}.txt')
        for name in ('true', 'shuffled', 'constant')
    ]
    targets.append(folder(office / 'Clipart', with_label=False))
    # Of the target's images it does learn: others give other weights.
    targets.append(folder(office / 'Art'))
    models = [trained(tiny, both_domains(office, target), 2, alignment).model for target in targets]
    assert [same(models[0], other) for other in models] == [True] * 4 + [False]


def test_a_loader_that_lets_labels_through_is_refused(tiny, office):
    plain = dict(
        type='ConcatDataset', datasets=[folder(office / 'Art'), folder(office / 'Clipart')]
    )
    with pytest.raises(
        InputError, match='a training sample of domain None.*is to be a pinas_mm.DomainPair'
    ):
        trained(tiny, loader(plain, sampler=dict(type='InfiniteSampler')))
    with pytest.raises(InputError, match='dataset to be a pinas_mm.DomainPair'):
        trained(tiny, loader(plain, sampler=dict(type='pinas_mm.DomainSampler')))


def test_training_logs_what_to_watch(tiny, office):
    runner = trained(tiny, both_domains(office), iterations=3)
    lines = [
        json.loads(line)
        for line in Path(runner.log_dir, 'vis_data/scalars.json').read_text().splitlines()
    ]
    assert [
        {'loss', 'loss_alignment', 'domain_accuracy', 'reversal_weight'} <= line.keys()
        for line in lines
    ] == [True] * 3
    assert int(runner.model.alignment.step) == 3
    assert [line['reversal_weight'] for line in lines] == pytest.approx(
        [2 / (1 + np.exp(-10 * done / 3)) - 1 for done in range(3)]
    )


@pytest.mark.slow
def test_a_resumed_training_ends_as_one_never_stopped(tiny, office):
    whole = trained(tiny, both_domains(office))
    saving = dict(checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False))

    def stop(runner, *args, **kwargs):
        if runner.iter == 2:
            raise KeyboardInterrupt

    stopped = training(tiny, both_domains(office), default_hooks=saving)
    stopped.register_hook(tiny.Record(before_train_iter=stop), 'VERY_LOW')
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    assert int(stopped.model.alignment.step) == 2
    resumed = trained(
        tiny,
        both_domains(office),
        load_from=str(tiny.folder / 'iter_2.pth'),
        resume=True,
        default_hooks=saving,
    )
    assert (
        resumed.iter == 4
        and int(resumed.model.alignment.step) == 4
        and same(whole.model, resumed.model)
    )
    assert not same(whole.model, stopped.model)


def test_a_strategy_of_several_passes(tiny, office):
    inner = model(tiny)
    runner = trained(
        tiny,
        both_domains(office),
        model=dict(type='pinas_mm.FairStrategy', model=inner),
        custom_hooks=[],
        iterations=2,
    )
    assert int(runner.model.step) == 2 and int(runner.model.model.alignment.step) == 6, (
        'three passes in a step'
    )


@pytest.mark.slow
def test_adaptation_search_and_fine_tuning(tiny, office):
    """Supernet, search by a score that needs no label, subnet from what it inherits, and accuracy
    on the target's test set."""
    held_out = dict(
        type='pinas_mm.SeededSplit',
        part='held_out',
        held_out=16,
        dataset=folder(office / 'Clipart'),
    )
    learning = dict(held_out, part='learning')
    supernet = trained(tiny, both_domains(office, learning), iterations=8)

    unlabelled = [
        dict(type='pinas_mm.UnlabelledDomain', dataset=dataset) for dataset in (held_out, learning)
    ]
    search = tiny.searching(
        model=model(tiny),
        val_dataloader=loader(unlabelled[0]),
        val_evaluator=dict(type='pinas_mm.InformationMaximisation'),
        arch_evaluation=dict(calibration_dataloader=loader(unlabelled[1]), calibration_batches=1),
        search_loop=dict(
            type='pinas_mm.SearchLoop',
            searcher=dict(type='random'),
            num_archs=6,
            ask_size=3,
            input_size=32,
            score='information/mutual_information',
            score_samples=12,
            top_k=3,
        ),
    )
    search.model.load_state_dict(supernet.model.state_dict())
    search.test()
    winner = search.test_loop.winner
    assert (
        0 < winner.score < np.log(10)
        and {'information/marginal_entropy', 'information/conditional_entropy'}
        < winner.metrics.keys()
    )
    scores = [json.loads(line) for line in (tiny.folder / 'history.jsonl').read_text().splitlines()]
    assert not [line for line in scores if 'accuracy' in json.dumps(line)], 'no label was read'

    config = model(tiny)
    config['backbone'] |= dict(arch=str(tiny.folder / 'subnet.yaml'))
    runner = training(
        tiny,
        both_domains(office, learning),
        iterations=2,
        model=config,
        custom_hooks=[],
        load_from=str(tiny.folder / 'subnet.pth'),
        test_dataloader=loader(folder(office / 'Clipart')),
        test_evaluator=dict(type='Accuracy', topk=(1,)),
        test_cfg=dict(),
    )
    runner.train()
    # The subnet inherits the discriminator too, and its place in the schedule.
    assert int(runner.model.alignment.step) == 10
    assert 0 <= runner.test()['accuracy/top1'] <= 100
