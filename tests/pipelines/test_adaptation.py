import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import MODELS

from pinas_mm.checkpoint import load_checkpoint, save_checkpoint
from pinas_mm.costs import measure_costs
from pinas_mm.costs.latency import measure_latency
from pinas_mm.costs.shared_parts import macs_together
from pinas_mm.datasets import Digits
from pinas_mm.engine import SearchLoop
from pinas_mm.engine.hooks import ArchSamplingHook
from pinas_mm.engine.latest_checkpoint import last_checkpoint
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableBackbone
from pinas_mm.pipelines.adaptation import (
    COMPARISONS,
    JOINT,
    Adaptation,
    check_adaptation_config,
    sampling_hooks,
)
from pinas_mm.spaces import arch_rng, get_space
from pinas_mm.subnets.state_dict import subnet_state_dict
from pinas_mm.tasks.domains.digit_domains import write_digit_domain

SPACE = get_space('nasbench_macro')
SOURCE = '11111111'
WIDTH = dict(widen_factor=0.125)
CHANNELS = 160


@pytest.fixture
def model(tiny):
    return tiny.classifier(**WIDTH) | dict(
        neck=dict(
            type='LinearNeck',
            in_channels=CHANNELS,
            out_channels=320,
            gap_dim=2,
            norm_cfg=dict(type='BN1d'),
        )
    )


@pytest.fixture
def supernet(tiny, model, tmp_path):
    """A source's supernet: its checkpoint."""
    source = tiny.randomise(MODELS.build(copy.deepcopy(model)))
    save_checkpoint(tmp_path / 'source.pth', source.state_dict(), {})
    return tmp_path / 'source.pth'


@pytest.fixture
def config(tiny, model, tmp_path):
    """Two epochs of four steps for either stage; without a learning rate, so that weights show
    where they come from."""
    return Config(
        dict(
            work_dir=str(tmp_path / 'adapt'),
            default_scope='mmpretrain',
            randomness=dict(seed=3),
            model=model,
            train_dataloader=tiny.digits(),
            train_cfg=dict(by_epoch=True, max_epochs=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
            param_scheduler=[dict(type='CosineAnnealingLR', T_max=2, by_epoch=True)],
            val_dataloader=tiny.digits('held_out', indices=32),
            val_evaluator=dict(type='Accuracy', topk=(1,)),
            val_cfg=dict(),
            test_dataloader=tiny.digits('test', indices=48),
            test_evaluator=dict(type='Accuracy', topk=(1,)),
            test_cfg=dict(),
            supernet_stage=dict(
                custom_hooks=[dict(type='pinas_mm.ArchSamplingHook', seed=5)],
                train_cfg=dict(max_epochs=1),
            ),
            search_loop=dict(
                type='pinas_mm.SearchLoop',
                searcher=dict(type='random'),
                num_archs=6,
                ask_size=3,
                calibration_batches=2,
                input_size=32,
                score_samples=16,
                top_k=2,
                constraints=dict(macs=9e5),
            ),
            subnet_stage=dict(model=dict(head=dict(topk=(1, 5)))),
        )
    )


def adapt(config, supernet, until='compare', source_arch=SOURCE, **kwargs):
    return Adaptation(config, str(supernet), source_arch, **kwargs).run(until)


def weights(folder):
    """What the training in a folder ended with."""
    return load_checkpoint(last_checkpoint(folder))['state_dict']


def learned(state, keys):
    """Parameters alone: BN statistics follow the images."""
    return {key: state[key] for key in keys if 'running' not in key and 'num_batches' not in key}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.slow
def test_every_way_starts_from_the_weights_it_says_and_spends_the_budget(
    config, supernet, tmp_path
):
    report = adapt(config, supernet)
    folder = tmp_path / 'adapt'
    found, source = SPACE.decode(report['arch']), SPACE.decode(SOURCE)
    assert json.loads((folder / 'adapt.json').read_text()) == json.loads(json.dumps(report))
    whole = MODELS.build(copy.deepcopy(config.model))
    theirs = load_checkpoint(supernet)['state_dict']
    names = {
        arch: [key for key in subnet_state_dict(whole, arch) if key.startswith('backbone.')]
        for arch in (found, source)
    }

    # The supernet has the source's backbone; the subnet what the supernet has, neck and head too.
    fine_tuned = weights(folder / 'supernet')
    backbone = [key for key in theirs if key.startswith('backbone.')]
    assert equal(learned(fine_tuned, backbone), learned(theirs, backbone))
    assert not torch.equal(fine_tuned['head.fc.weight'], theirs['head.fc.weight'])
    joint = weights(folder / 'subnet')
    assert (
        equal(learned(joint, joint), learned(fine_tuned, joint))
        and {'head.fc.weight', *names[found]} <= joint.keys()
    )
    # (a) the source arch with its own, (b) nothing of them, (c) what both archs have.
    fixed, scratch, other = (weights(folder / name) for name in COMPARISONS)
    assert (
        equal(learned(fixed, names[source]), learned(theirs, names[source]))
        and not set(names[found]) <= fixed.keys()
    )
    convolutions = [key for key in names[found] if scratch[key].ndim == 4]
    assert not any(torch.equal(scratch[key], theirs[key]) for key in convolutions)
    assert convolutions and found != source
    kept = {key for key in convolutions if torch.equal(other[key], theirs[key])}
    assert kept == {key for key in convolutions if key in names[source]} and 0 < len(kept) < len(
        convolutions
    )

    # Operations by hand: training is three passes of an image, a score one.
    costs = measure_costs(whole, 32)
    macs = {arch: costs.array('macs', [arch])[0] for arch in (found, source)}
    hook = ArchSamplingHook(seed=5)
    assert report['steps']['supernet']['operations'] == 3 * 16 * sum(
        costs.array('macs', [hook.arch(SPACE, i) for i in range(4)])
    )
    records = [
        json.loads(line) for line in (folder / 'search/history.jsonl').read_text().splitlines()[1:]
    ]
    records = [record for record in records if 'arch' in record]
    assert [record['stage'] for record in records].count('search') == 6 and len(records) == 8
    archs = [SPACE.validate(record['arch'], 'record') for record in records]
    # Three archs were asked at a time; the two best were scored again on all held-out images.
    batches = [(archs[:3], 16), (archs[3:6], 16), (archs[6:], 32)]
    assert report['steps']['search']['operations'] == sum(
        macs_together(costs, whole.backbone, batch) * (32 + scored) for batch, scored in batches
    )
    assert report['steps']['subnet']['operations'] == 3 * 64 * 2 * macs[found]
    budget = sum(step['operations'] for step in report['steps'].values())
    rows = report['rows']
    assert rows[JOINT]['operations'] == budget and list(rows) == [JOINT, *COMPARISONS.values()]
    for row, arch in zip(list(rows.values())[1:], (source, found, found)):
        epoch = 3 * 64 * macs[arch]
        assert row['operations'] == epoch * math.ceil(budget / epoch) and row[
            'arch'
        ] == SPACE.encode(arch)
        assert (
            row['costs']['macs'] == macs[arch]
            and 'accuracy/top1' in row['metrics']
            and 'accuracy/top5' not in row['metrics']
        )
    assert [
        slot['slot'] for slot in report['slots'] if slot['source'] != slot['found']
    ] == np.flatnonzero(np.array(found) != np.array(source)).tolist()
    assert [slot['source'] for slot in report['slots']] == [
        names[1].name for names in SPACE.candidates
    ]
    assert [slot['found'] for slot in report['slots']] == [
        names[choice].name for names, choice in zip(SPACE.candidates, found)
    ]

    # A second run trains nothing, and another seed is refused.
    times = {path: path.stat().st_mtime_ns for path in folder.rglob('*.pth')}
    assert json.loads(json.dumps(adapt(config, supernet))) == json.loads(json.dumps(report))
    assert times == {path: path.stat().st_mtime_ns for path in folder.rglob('*.pth')}
    with pytest.raises(
        InputError,
        match=r'adapt/supernet: made with another config: .*randomness.seed was .*; choose '
        r'another --work-dir',
    ):
        adapt(config, supernet, seed=4)


@pytest.mark.slow
def test_operations_are_those_of_the_archs_that_were_trained(config, supernet, tmp_path):
    """Also where the archs are drawn by costs that are measured when training begins."""
    costs = measure_costs(MODELS.build(copy.deepcopy(config.model)), 32)
    least, most = costs.range('macs')
    edges = [float(least), float(least + 0.2 * (most - least))]
    config.supernet_stage.custom_hooks[0].update(cost_bins=dict(macs=edges), input_size=32)
    trained, set_arch = [], SearchableBackbone.set_arch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            SearchableBackbone,
            'set_arch',
            lambda self, arch: (self.training and trained.append(arch), set_arch(self, arch))[1],
        )
        result = Adaptation(config, str(supernet)).fine_tune_supernet()
    assert len(trained) == 4 and all(costs.array('macs', trained) <= edges[1])
    assert result['operations'] == 3 * 16 * sum(costs.array('macs', trained))


@pytest.mark.slow
def test_checks_build_each_dataset_once_and_nothing_for_steps_that_are_done(
    config, supernet, monkeypatch
):
    """The annotations of a large set take minutes."""
    built = []
    monkeypatch.setattr(
        Digits, '__init__', counted(built, Digits.__init__, lambda kwargs: kwargs.get('split'))
    )
    monkeypatch.setattr(Adaptation, 'fine_tune_supernet', counted(built, None, lambda _: 'start'))
    with pytest.raises(StoppedError):
        adapt(config, supernet, 'subnet', None)
    assert sorted(built) == ['held_out', 'learning', 'start', 'test']
    built.clear()
    for step in ('search', 'subnet'):
        folder = Path(config.work_dir) / step
        folder.mkdir(parents=True)
        (folder / 'stage.json').write_text('{"config": {}, "result": {}}')
    with pytest.raises(StoppedError):
        adapt(config, supernet, 'subnet', None)
    assert built == ['start']


class StoppedError(Exception):
    pass


def counted(calls, function, name):
    """A method that notes each call and then calls the function, or stops."""

    def method(self, *args, **kwargs):
        calls.append(name(kwargs))
        if function is None:
            raise StoppedError
        return function(self, *args, **kwargs)

    return method


@pytest.mark.slow
def test_the_adapted_subnet_learns_and_is_tested_on_the_test_set(config, supernet):
    config.optim_wrapper.optimizer.lr = 0.05
    config.train_cfg.max_epochs = 12
    config.supernet_stage.train_cfg.max_epochs = 12
    report = adapt(config, supernet, 'subnet', None)
    assert 'slots' not in report and list(report['rows']) == [JOINT]
    assert report['rows'][JOINT]['metrics']['accuracy/top1'] > 30  # by chance 10


@pytest.mark.slow
def test_a_linear_head_on_a_frozen_supernet(config, supernet, tmp_path):
    """The unsupervised form: nothing of the backbone changes, and a pass costs a forward pass
    alone."""
    config.optim_wrapper.optimizer.lr = 0.05
    config.supernet_stage.model = dict(backbone=dict(frozen_stages=4, frozen_norm_eval=False))
    report = adapt(config, supernet, 'search')
    theirs, ours = load_checkpoint(supernet)['state_dict'], weights(tmp_path / 'adapt/supernet')
    backbone = [key for key in theirs if key.startswith('backbone.')]
    assert equal(learned(ours, backbone), learned(theirs, backbone))
    hook, costs = (
        ArchSamplingHook(seed=5),
        measure_costs(MODELS.build(copy.deepcopy(config.model)), 32),
    )
    assert report['steps']['supernet']['operations'] == 16 * sum(
        costs.array('macs', [hook.arch(SPACE, i) for i in range(4)])
    )
    assert not (tmp_path / 'adapt/subnet').exists()


@pytest.mark.slow
def test_what_is_frozen_and_slow_is_so_for_source_weights_alone(config, supernet, tmp_path):
    """As mm's configs freeze a pretrained backbone; and its BN statistics are of the source arch on
    the target, not the supernet's."""
    config.subnet_stage.model.backbone = dict(frozen_stages=4)
    config.optim_wrapper.optimizer = dict(type='SGD', lr=0.05, weight_decay=1e-4)
    config.optim_wrapper.paramwise_cfg = dict(
        custom_keys={'backbone': dict(lr_mult=0.0, decay_mult=0.5), 'head': dict(lr_mult=2.0)}
    )
    report = adapt(config, supernet)
    theirs = load_checkpoint(supernet)['state_dict']
    fixed, scratch, other = (weights(tmp_path / 'adapt' / name) for name in COMPARISONS)
    backbone = [key for key in fixed if key.startswith('backbone.')]
    assert equal(learned(fixed, backbone), learned(theirs, backbone))
    start = load_checkpoint(tmp_path / 'adapt/fixed/start.pth')['state_dict']
    assert start.keys() == set(backbone) and equal(
        {key: start[key] for key in start}, {key: fixed[key] for key in start}
    )
    assert not any(
        torch.equal(start[key], theirs[key]) for key in backbone if key.endswith('running_mean')
    )
    convolutions = [
        key for key in scratch if key.startswith('backbone.') and scratch[key].ndim == 4
    ]
    before = load_checkpoint(tmp_path / 'adapt/scratch/epoch_1.pth')['state_dict']
    assert not any(torch.equal(scratch[key], before[key]) for key in convolutions), (
        'trained, at the full rate'
    )
    assert {
        key
        for key in other
        if 'running_mean' in key and torch.equal(other[key], theirs.get(key, other[key]))
    } == set()
    # A forward pass an image for what is frozen, three for what is not.
    for row, passes in zip(report['rows'].values(), (None, 1, 3, 3)):
        assert passes is None or row['operations'] % (passes * 64 * int(row['costs']['macs'])) == 0
        assert row['operations'] >= report['rows'][JOINT]['operations']


@pytest.mark.slow
def test_a_stopped_adaptation_goes_on(config, supernet, tmp_path, monkeypatch):
    """Also where it was moved, and its supernet too."""
    whole = adapt(config, supernet, 'subnet')
    config.work_dir = str(tmp_path / 'stopped')
    train = Adaptation.train

    def stop(self, runner, arch):
        if Path(runner.work_dir).name == 'subnet':
            runner.register_hook(Stop(), priority='LOWEST')
        return train(self, runner, arch)

    class Stop(Hook):
        def after_train_epoch(self, runner):
            raise KeyboardInterrupt

    monkeypatch.setattr(Adaptation, 'train', stop)
    with pytest.raises(KeyboardInterrupt):
        adapt(config, supernet, 'subnet')
    monkeypatch.setattr(Adaptation, 'train', train)
    assert (tmp_path / 'stopped/subnet/epoch_1.pth').exists()
    (tmp_path / 'stopped').rename(tmp_path / 'moved')
    config.work_dir = str(tmp_path / 'moved')
    supernet = supernet.rename(tmp_path / 'moved.pth')
    resumed = adapt(config, supernet, 'subnet')
    assert (
        resumed['rows'][JOINT]['metrics'] == whole['rows'][JOINT]['metrics']
        and resumed['arch'] == whole['arch']
    )
    assert equal(weights(tmp_path / 'moved/subnet'), weights(tmp_path / 'adapt/subnet'))
    assert not (tmp_path / 'stopped').exists()
    other = load_checkpoint(supernet)['state_dict']
    other['head.fc.bias'] += 1
    save_checkpoint(supernet, other, {})
    with pytest.raises(InputError, match='supernet: made with another config: supernet_checksum'):
        adapt(config, supernet, 'subnet')


@pytest.mark.slow
@pytest.mark.parametrize(
    'change, expected',
    [
        (
            dict(val_dataloader=None),
            'no val_dataloader: expected a config that trains on the target',
        ),
        (
            {'supernet_stage.custom_hooks': []},
            "supernet_stage.custom_hooks without dict(type='pinas_mm.ArchSamplingHook')",
        ),
        (
            {'test_dataloader.dataset.split': 'tset'},
            "test_dataloader.dataset.split='tset': expected 'learning', 'held_out' or 'test'",
        ),
        ({'search_loop.searcher.min_leaf': 3}, 'search_loop.searcher.min_leaf: unknown key'),
        ({'search_loop.constraints.macs': 10}, 'macs'),
        (
            {
                'search_loop.calibration_dataloader': dict(
                    batch_size=128, num_workers=0, dataset=dict(type='pinas_mm.Digits', indices=12)
                )
            },
            'calibration_dataloader: no whole batch of 128 in 12 samples',
        ),
        ({'search_loop.score_samples': 0}, 'search_loop.score_samples=0: expected a whole number'),
        (
            {'search_loop.type': 'TestLoop'},
            "expected search_loop=dict(type='pinas_mm.SearchLoop', searcher=",
        ),
        (
            {'test_dataloader.dataset.split': 'held_out', 'test_dataloader.dataset.indices': 32},
            'val_dataloader reads the same images as test_dataloader: the search would choose by '
            'the test set',
        ),
        (
            {'model.backbone.widen_factor': 0.25, 'model.neck.in_channels': 320},
            "--supernet: expected space 'nasbench_macro', as wide as in",
        ),
        (
            {'model.head.num_classes': 7},
            'num_classes=7 of LinearClsHead: Digits has 10 classes (0, 1, 2, 3, 4, ...)',
        ),
    ],
)
def test_wrong_input_is_named(config, supernet, change, expected):
    config.merge_from_dict(change)
    with pytest.raises(InputError) as error:
        adapt(config, supernet)
    assert expected in str(error.value)
    assert not list(Path(config.work_dir).rglob('*.pth')), 'before hours of training'


@pytest.mark.slow
@pytest.mark.parametrize('part, fault', [('train', 'learned from'), ('test', 'tested on')])
def test_a_search_on_images_of_another_part_is_refused(config, supernet, tmp_path, part, fault):
    """Not only where the whole sets are the same."""
    write_digit_domain(tmp_path / 'digits', 'grey', num_images=80)
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    folder = dict(type='CustomDataset', data_root=str(tmp_path / 'digits'), pipeline=pipeline)
    parts = {
        part: dict(type='pinas_mm.SeededSplit', part=part, held_out=32, dataset=folder)
        for part in ('learning', 'held_out')
    }
    config.val_dataloader.dataset = parts['held_out']
    # Other settings of the same files: equal ones are refused before a file is read.
    folder = dict(folder, extensions=('.png',))
    config[f'{part}_dataloader'].dataset = folder
    with pytest.raises(
        InputError,
        match=rf'config: 32 images of val_dataloader are also in {part}_dataloader, such as '
        rf'.*/digits/.*png: '
        f'the search would choose by images that are {fault}',
    ):
        adapt(config, supernet)
    config[f'{part}_dataloader'].dataset = parts['learning']
    config.supernet_stage.train_dataloader = dict(dataset=dict(folder, _delete_=True))
    with pytest.raises(InputError, match=r'are also in supernet_stage\.train_dataloader, such as'):
        adapt(config, supernet)
    config.supernet_stage.pop('train_dataloader')
    adapt(config, supernet, 'search')


def test_a_stage_may_take_the_place_of_what_it_changes(config, supernet):
    """By mmengine's ``_delete_``, whichever step reads the stage first."""
    config.optim_wrapper.optimizer = dict(type='SGD', lr=0.1, momentum=0.9)
    adam = dict(type='Adam', lr=0.01)
    config.supernet_stage.optim_wrapper = dict(optimizer=dict(adam, _delete_=True))
    backbone = dict(config.model.backbone, frozen_stages=2)
    config.supernet_stage.model = dict(backbone=dict(backbone, _delete_=True))
    steps = Adaptation(config, supernet, SOURCE)
    steps.run('search')
    for _ in range(2):
        assert steps.training_config('supernet_stage').optim_wrapper.optimizer == adam


@pytest.mark.slow
@pytest.mark.parametrize('limit', [9e5, 2e6, None])
def test_a_limit_that_the_source_keeps_is_said_to_gain_nothing(
    config, supernet, monkeypatch, limit
):
    """The arch of identities and 3x3 blocks costs more than 0.9 M MACs here, and less than 2 M."""
    said = []
    monkeypatch.setattr('pinas_mm.pipelines.adaptation.warn_once', said.append)
    config.search_loop.constraints = None if limit is None else dict(macs=limit)
    steps = Adaptation(config, supernet, SOURCE)
    steps.run('supernet')
    macs = steps.costs.arch_costs(SPACE.decode(SOURCE))['macs']
    assert 9e5 < macs < 2e6
    expected = [
        f"config: the source's arch 11111111 has macs={macs:.4g} and keeps search_loop.constraints "
        '(macs <= 2e+06): nothing will be gained in cost; expected a limit below it'
    ]
    assert said == (expected if limit == 2e6 else [])


@pytest.mark.slow
def test_images_without_labels_may_be_tested_on_but_not_learned_from(config, supernet, tmp_path):
    """As unsupervised domain adaptation is: tested on all of the target."""
    write_digit_domain(tmp_path / 'digits', 'grey', num_images=80)
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    folder = dict(type='CustomDataset', data_root=str(tmp_path / 'digits'), pipeline=pipeline)
    config.val_dataloader.dataset = dict(
        type='pinas_mm.UnlabelledDomain',
        dataset=dict(type='pinas_mm.SeededSplit', part='held_out', held_out=32, dataset=folder),
    )
    config.val_evaluator = dict(type='pinas_mm.InformationMaximisation')
    config.search_loop |= dict(score='information/mutual_information', score_samples=None)
    config.test_dataloader.dataset = folder
    adapt(config, supernet, 'search')
    config.train_dataloader.dataset = dict(folder, extensions=('.png',))
    with pytest.raises(
        InputError, match='32 images of val_dataloader are also in train_dataloader'
    ):
        adapt(config, supernet, 'search')


@pytest.mark.parametrize(
    'source_arch, expected',
    [
        (None, "needs the source's best arch (--source-arch)"),
        (
            '1111',
            "--source-arch: [1, 1, 1, 1] has 4 entries, but space 'nasbench_macro' has 8 slots",
        ),
        (
            'other.yaml',
            "--source-arch: other.yaml is a subnet of space 'resnest50', expected one of "
            "'nasbench_macro'",
        ),
    ],
)
def test_a_source_arch_that_does_not_fit_is_named(
    config, supernet, tmp_path, monkeypatch, source_arch, expected
):
    monkeypatch.chdir(tmp_path)
    Path('other.yaml').write_text(
        '{space: resnest50, arch: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]}'
    )
    before = copy.deepcopy(config.to_dict())
    with pytest.raises(InputError) as error:
        adapt(config, supernet, source_arch=source_arch)
    assert expected in str(error.value) and not (tmp_path / 'adapt').exists()
    assert config.to_dict() == before


@pytest.mark.parametrize(
    'kind, expected',
    [
        ('missing', '--supernet: no.pth: no such checkpoint'),
        ('text', '--supernet: no.pth: not loadable as a checkpoint of plain tensors'),
        ('head', "no.pth: none of its 1 tensors is below 'backbone.': expected a checkpoint of"),
        (
            'space',
            "expected space 'nasbench_macro', as wide as in config: no.pth: does not fit this",
        ),
    ],
)
def test_a_supernet_that_does_not_fit_is_named_before_anything_else(
    config, tmp_path, monkeypatch, kind, expected
):
    monkeypatch.chdir(tmp_path)
    if kind == 'text':
        Path('no.pth').write_text('no checkpoint')
    elif kind != 'missing':
        tensors = dict(head='head.fc.weight', space='backbone.layers.0.0.conv1.weight')
        save_checkpoint('no.pth', {tensors[kind]: torch.zeros(1)}, {})
    config.test_dataloader.dataset.indices = 'many'  # wrong too, and found later
    with pytest.raises(InputError) as error:
        adapt(config, 'no.pth', source_arch='22')
    assert expected in str(error.value) and not (tmp_path / 'adapt').exists()


@pytest.mark.parametrize('stage', ['supernet_stage', 'subnet_stage'])
def test_a_loader_that_a_stage_makes_impossible_is_named(config, stage):
    config[stage].train_dataloader = dict(persistent_workers=True)
    with pytest.raises(InputError, match=f'^{stage}.train_dataloader.persistent_workers=True'):
        check_adaptation_config(config)


class OwnSamplingHook(ArchSamplingHook):
    """As a user derives it."""


class OwnSearchLoop(SearchLoop):
    pass


class NotArchSamplingHook(Hook):
    """Neither is what draws archs, nor what searches, whatever its name is."""


@pytest.mark.parametrize(
    'hook, loop',
    [
        ('pinas_mm.engine.hooks.ArchSamplingHook', 'pinas_mm.engine.SearchLoop'),
        (ArchSamplingHook, SearchLoop),
        (OwnSamplingHook, OwnSearchLoop),
    ],
)
def test_hook_and_loop_may_be_named_in_any_way(config, hook, loop):
    config.supernet_stage.custom_hooks[0].type, config.search_loop.type = hook, loop
    check_adaptation_config(config)
    assert sampling_hooks(config.supernet_stage.custom_hooks) == config.supernet_stage.custom_hooks


def test_a_class_of_a_similar_name_is_not_taken_for_the_hook(config):
    config.supernet_stage.custom_hooks[0].type = NotArchSamplingHook
    with pytest.raises(InputError, match='custom_hooks without .*ArchSamplingHook'):
        check_adaptation_config(config)


# An elastic backbone: the source is one pretrained network.


@pytest.fixture
def elastic(tiny, config, tmp_path):
    """The config with an elastic backbone, and the pretrained network that it is made of."""
    backbone = dict(type='pinas_mm.ElasticMobileNetV2', widen_factor=0.1)
    config.model.neck = dict(type='GlobalAveragePooling')
    config.model.head.in_channels = 1280
    config.model.backbone = dict(backbone)
    network = tiny.randomise(MODELS.build(copy.deepcopy(config.model)))
    save_checkpoint(tmp_path / 'network.pth', network.state_dict(), {})
    config.model.backbone.update(
        sort_channels=True,
        init_cfg=dict(
            type='Pretrained', checkpoint=str(tmp_path / 'network.pth'), prefix='backbone.'
        ),
    )
    config.supernet_stage = dict(
        custom_hooks=[],
        strategy=dict(type='pinas_mm.SandwichStrategy', num_random=1),
        train_cfg=dict(max_epochs=1),
    )
    config.search_loop.constraints = None
    return config, network.backbone


@pytest.mark.slow
def test_an_elastic_backbone_is_a_supernet_of_its_pretrained_network(elastic, tmp_path):
    config, network = elastic
    report = Adaptation(config).run()
    space, folder = network.space, tmp_path / 'adapt'
    found = space.decode(report['arch'])
    assert report['supernet'] is None and found != space.largest
    assert report['source_arch'] == space.encode(space.largest)
    whole = measure_costs(MODELS.build(copy.deepcopy(config.model)), 32)
    assert report['source_costs'] == whole.arch_costs(space.largest)
    network.sort_channels()
    theirs = {f'backbone.{key}': value for key, value in network.state_dict().items()}
    fine_tuned = weights(folder / 'supernet')
    assert equal(learned(fine_tuned, theirs), learned(theirs, theirs))
    part = {f'backbone.{key}': value for key, value in network.subnet_state(found).items()}
    for way in ('subnet', 'other_weights'):
        assert equal(learned(weights(folder / way), part), learned(part, part))
    fixed, scratch = weights(folder / 'fixed'), weights(folder / 'scratch')
    assert equal(learned(fixed, theirs), learned(theirs, theirs))
    assert not torch.equal(
        scratch['backbone.conv1.conv.weight'], part['backbone.conv1.conv.weight']
    )

    # Three paths a step, each of three passes.
    costs = measure_costs(MODELS.build(copy.deepcopy(config.model)), 32)
    archs = [
        arch
        for step in range(4)
        for arch in (space.largest, space.smallest, space.sample(arch_rng(0, step)))
    ]
    assert report['steps']['supernet']['operations'] == 3 * 16 * sum(costs.array('macs', archs))
    # A second run trains nothing.
    assert json.loads(json.dumps(Adaptation(config).run())) == json.loads(json.dumps(report))


def test_what_an_elastic_adaptation_cannot_start_from_is_named(elastic, model, tmp_path):
    config, _ = elastic
    config.model.backbone.init_cfg.checkpoint = str(tmp_path / 'other.pth')
    other = dict(type='pinas_mm.ElasticMobileNetV2', widen_factor=0.2)
    state = MODELS.build(other).state_dict()
    save_checkpoint(
        tmp_path / 'other.pth', {f'backbone.{key}': value for key, value in state.items()}, {}
    )
    with pytest.raises(InputError, match='other.pth: does not fit this ElasticMobileNetV2'):
        Adaptation(config).run('subnet')
    config.model.backbone.init_cfg.checkpoint = str(tmp_path / 'none.pth')
    with pytest.raises(InputError, match='none.pth'):
        Adaptation(config).run('subnet')
    config.model = model
    with pytest.raises(
        InputError, match='a SearchableMacroNet needs a trained supernet.*--supernet'
    ):
        Adaptation(config).run('subnet')
    config.model.backbone = dict(type='ResNet', depth=18)
    with pytest.raises(InputError, match="type='ResNet' is no supernet: expected one of pinas_mm"):
        Adaptation(config)
    assert not (tmp_path / 'adapt').exists()


@pytest.mark.slow
def test_random_weights_of_an_elastic_backbone_are_said(elastic, caplog):
    config, _ = elastic
    config.model.backbone.init_cfg = None
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    Adaptation(config).run('supernet')
    logger.removeHandler(caplog.handler)
    assert 'no checkpoint in model.backbone.init_cfg' in caplog.text


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        (
            dict(strategy='pinas_mm.FeatureSandwichStrategy'),
            r"supernet_stage.strategy='pinas_mm.FeatureSandwichStrategy': expected a dict, such as "
            r"dict\(type='pinas_mm.FeatureSandwichStrategy'\)$",
        ),
        (dict(strategy=['x']), r"supernet_stage.strategy=\['x'\]: expected a dict, such as"),
        (
            dict(strategy=dict(type='pinas_mm.DSNASStrategy')),
            "supernet_stage.strategy.type='pinas_mm.DSNASStrategy': expected a strategy",
        ),
        (
            dict(strategy=dict(type='pinas_mm.SandwichStrategy', model=dict())),
            'expected no strategy.model, and no ArchSamplingHook',
        ),
        (
            dict(custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')]),
            'expected no strategy.model, and no ArchSamplingHook',
        ),
    ],
)
def test_a_strategy_that_does_not_fit_is_named(elastic, change, expected):
    config, _ = elastic
    config.supernet_stage.update(change)
    with pytest.raises(InputError, match=expected):
        Adaptation(config)


@pytest.mark.slow
def test_the_rows_have_the_latencies_that_the_search_is_limited_by(elastic, tmp_path):
    config, network = elastic
    latency = measure_latency(network, torch.randn(1, 3, 32, 32), rounds=3, num_check=3)
    latency.write(tmp_path / 'latency.json')
    config.search_loop.latency_table = str(tmp_path / 'latency.json')
    report = Adaptation(config).run('subnet')
    found = network.space.decode(report['arch'])
    costs = measure_costs(network, 32)
    latency.add_to(costs)
    assert report['rows'][JOINT]['costs']['latency'] == costs.arch_costs(found)['latency']
