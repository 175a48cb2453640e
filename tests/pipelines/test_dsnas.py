import json
import math
import runpy
from pathlib import Path

import pytest
import tiny_dsnas
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, init_default_scope
from page_text import shown
from processes import finish, on_two_ranks, start
from tiny_dsnas import ITERATIONS, dsnas, hand_over, model

from pinas_mm.checkpoint import load_checkpoint
from pinas_mm.engine.hooks import ArchSamplingHook
from pinas_mm.engine.hooks.dsnas_hook import DSNASHook
from pinas_mm.errors import InputError
from pinas_mm.pipelines import dsnas as dsnas_stages
from pinas_mm.pipelines.dsnas import check_dsnas_config, run_stages, second_stage_config
from pinas_mm.spaces.nasbench_macro import NASBENCH_MACRO
from pinas_mm.spaces.subnet_file import SubnetFile
from pinas_mm.strategies import DSNASOptimWrapper
from pinas_mm.visualization.run_facts import RunFacts


@pytest.fixture
def runners(monkeypatch):
    """Every runner that the stages build."""
    built, build = [], dsnas_stages.build_runner
    monkeypatch.setattr(
        dsnas_stages, 'build_runner', lambda config: built.append(build(config)) or built[-1]
    )
    return built


def state(folder):
    return load_checkpoint(folder / 'subnet.pth')['state_dict']


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


@pytest.mark.slow
def test_both_stages(tiny, runners):
    result = run_stages(dsnas(tiny.folder))
    search, train = runners
    arch = NASBENCH_MACRO.decode(result['arch'])
    assert search.epoch == 2 and train.epoch == 4 and train.iter == 4 * ITERATIONS
    assert json.loads((tiny.folder / 'dsnas.json').read_text()) == json.loads(json.dumps(result))
    assert result['search_epochs'] == 2 and result['search_iterations'] == 2 * ITERATIONS
    assert result['seconds']['total'] == pytest.approx(
        result['seconds']['search'] + result['seconds']['train']
    )
    assert min(result['seconds'].values()) > 0 and 0 <= result['metrics']['accuracy/top1'] <= 100

    found = SubnetFile.read(tiny.folder / 'subnet.yaml')
    assert (found.arch, found.scores, found.costs) == (arch, result['metrics'], result['costs'])
    assert load_checkpoint(tiny.folder / 'subnet.pth')['meta'] == found.to_dict()

    facts = RunFacts.read(tiny.folder)
    drawn = facts.drawings['winner']
    assert drawn.arch == arch and sum(drawn.macs) + drawn.other_macs == result['costs']['macs']
    page = shown(tiny.folder / 'report.html')
    assert f'The found network is arch {result["arch"]}' in page and 'The training' in page
    assert (tiny.folder / 'arch.svg').exists()

    written = load_checkpoint(tiny.folder / 'search/hand_over.pth')
    meta, names = written['meta'], written['state_dict'].keys()
    subnet = MODELS.build(model(arch=arch)).state_dict()
    assert meta['stage'] == 2 and tuple(meta['arch']) == arch and names == subnet.keys(), (
        'no other candidates, no logits'
    )
    assert 'optimizer' not in meta and [len(values) for values in meta['probabilities']] == [3] * 8
    assert sum(p.numel() for p in train.model.parameters()) < sum(
        p.numel() for p in search.model.parameters()
    )
    assert sum(p.numel() for p in train.model.parameters()) == sum(
        p.numel() for p in MODELS.build(model(arch=arch)).parameters()
    )


@pytest.mark.slow
def test_the_result_is_ready_to_deploy(tiny, runners):
    """In a plain mm config; its BN statistics are those of the training images, its accuracy the
    one reported."""
    config = dsnas(tiny.folder, epochs=2, search=1, warm_up=0)
    result = run_stages(config)
    found = SubnetFile.read(tiny.folder / 'subnet.yaml')
    assert (
        NASBENCH_MACRO.encode(found.arch) == result['arch']
        and found.widen_factor == 0.125
        and found.scores == result['metrics']
    )
    trained, saved = runners[1].model.state_dict(), state(tiny.folder)
    weights = {name for name, _ in runners[1].model.named_parameters()}
    statistics = {name for name in saved if name.endswith('running_var')}
    assert saved.keys() == trained.keys() and all(
        torch.equal(saved[name], trained[name]) for name in weights
    )
    assert statistics and all(not torch.equal(saved[name], trained[name]) for name in statistics)
    plain = model(
        arch=str(tiny.folder / 'subnet.yaml'),
        init_cfg=dict(
            type='Pretrained', checkpoint=str(tiny.folder / 'subnet.pth'), prefix='backbone.'
        ),
    )
    plain['backbone'].pop('widen_factor')  # in the subnet file
    keys = ('test_dataloader', 'test_evaluator', 'test_cfg')
    runner = tiny.runner(
        model=plain, load_from=str(tiny.folder / 'subnet.pth'), **{key: config[key] for key in keys}
    )
    assert runner.test() == result['metrics'] and result['costs'] == found.costs


class StoppedError(Exception):
    """As if the machine went down."""


@pytest.mark.slow
def test_stopped_in_either_stage_it_ends_as_one_never_stopped(tiny, monkeypatch):
    """Also where it is moved each time."""
    kwargs = dict(wrapper=dict(fix_lead=0.2), epochs=4, search=2, warm_up=0)
    whole = run_stages(dsnas(tiny.folder / 'whole', **kwargs))
    build, stops, seen = dsnas_stages.build_runner, [1, 3], []

    def stop(runner):
        seen.append(runner.epoch)
        if stops and runner.epoch == stops[0]:
            stops.pop(0)
            raise StoppedError

    def stopping(config):
        runner = build(config)
        runner.register_hook(tiny.Record(before_train_epoch=stop), 'VERY_LOW')
        return runner

    monkeypatch.setattr(dsnas_stages, 'build_runner', stopping)
    parts, folder = dsnas(tiny.folder / 'parts', **kwargs), tiny.folder / 'parts'
    for searched in (False, True):
        with pytest.raises(StoppedError):
            run_stages(parts)
        assert (folder / 'search/hand_over.pth').exists() == searched
        torch.manual_seed(99)  # whatever ran in between
        folder = folder.rename(tiny.folder / f'moved{searched}')
        parts.work_dir = str(folder)
    resumed = run_stages(parts)
    assert seen == [0, 1, 1, 2, 3, 3]
    assert resumed | dict(seconds=None) == whole | dict(seconds=None)
    assert same(state(folder), state(tiny.folder / 'whole'))


@pytest.mark.slow
def test_resume_reads_its_own_checkpoints_also_where_weights_were_loaded(tiny, runners):
    net = MODELS.build(model())
    torch.save(net.state_dict(), tiny.folder / 'start.pth')
    config = dsnas(
        tiny.folder / 'run', epochs=2, search=1, warm_up=0, load_from=str(tiny.folder / 'start.pth')
    )
    first = run_stages(config)
    for stage in ('search', 'train'):  # stopped before it was done
        path = tiny.folder / f'run/{stage}/stage.json'
        path.write_text(json.dumps(dict(config=json.loads(path.read_text())['config'])))
    again = run_stages(config)
    assert [runner._load_from for runner in runners] == [
        str(tiny.folder / 'start.pth'),
        None,
        None,
        None,
    ]
    assert [runner.epoch for runner in runners] == [1, 2, 1, 2] and runners[
        2
    ].optim_wrapper.passes == ITERATIONS
    assert again['metrics'] == first['metrics'] and again['search_iterations'] == ITERATIONS


def test_what_second_stage_says_is_merged(tiny):
    path = tiny.folder / 'hand_over.pth'
    hand_over(path)
    wrapper = dict(reward='reinforce', macs_limit=1e6, input_size=32, clip_grad=dict(max_norm=1))
    config = dsnas(
        tiny.folder,
        wrapper=wrapper,
        second_stage=dict(
            model=dict(head=dict(topk=(1, 5))),
            custom_hooks=[dict(type='EMAHook')],
            optim_wrapper=dict(accumulative_counts=2),
        ),
    )
    second = second_stage_config(config, path)
    assert (
        second.model.head.topk == (1, 5)
        and second.model.head.type == 'LinearClsHead'
        and second.model.backbone.arch
    )
    assert [hook['type'] for hook in second.custom_hooks] == ['EMAHook']
    assert second.optim_wrapper.to_dict() == dict(
        type='OptimWrapper',
        accumulative_counts=2,
        clip_grad=dict(max_norm=1),
        optimizer=config.optim_wrapper.optimizer.to_dict(),
    )
    assert 'second_stage' not in second and config.custom_hooks[0].type == 'pinas_mm.DSNASHook', (
        'the config itself is left as it was'
    )
    config.optim_wrapper.type = 'pinas_mm.DSNASAmpOptimWrapper'
    assert second_stage_config(config, path).optim_wrapper.type == 'pinas_mm.AmpOptimWrapper'


@pytest.mark.slow
def test_a_config_that_validates_a_supernet_trains_its_subnet_too(tiny):
    """As this project's own configs of supernets do."""
    held_out = tiny.digits('held_out', indices=16)
    config = dsnas(
        tiny.folder / 'run',
        epochs=2,
        search=1,
        warm_up=0,
        val_dataloader=held_out,
        val_evaluator=dict(type='Accuracy', topk=(1,)),
        val_cfg=dict(type='pinas_mm.ArchValLoop'),
        arch_evaluation=dict(calibration_dataloader=tiny.digits(), calibration_batches=1),
        search_loop=dict(
            type='pinas_mm.SearchLoop', searcher=dict(type='random'), num_archs=2, input_size=32
        ),
    )
    result = run_stages(config)
    assert set(result['metrics']) == {'accuracy/top1'} and (tiny.folder / 'run/subnet.pth').exists()


@pytest.mark.slow
@pytest.mark.parametrize('iteration, stage', [(3, 'search'), (7, 'train')])
def test_an_iteration_based_run_goes_on_from_its_stage_s_checkpoint(
    tiny, monkeypatch, iteration, stage
):
    """As configs/dsnas/ on CIFAR-10."""
    kwargs = dict(
        wrapper=dict(fix_lead=1.0),
        search=4,
        warm_up=0,
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=9),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2, max_keep_ckpts=1)
        ),
    )
    build = dsnas_stages.build_runner

    def stop(runner, *args, **kwargs):
        if runner.iter == iteration:
            raise StoppedError

    def stopping(config):
        runner = build(config)
        runner.register_hook(tiny.Record(before_train_iter=stop), 'VERY_LOW')
        return runner

    monkeypatch.setattr(dsnas_stages, 'build_runner', stopping)
    config = dsnas(tiny.folder / 'run', **kwargs)
    with pytest.raises(StoppedError):
        run_stages(config)
    started = []

    def watched(config):
        runner = build(config)
        runner.register_hook(
            tiny.Record(
                before_train_iter=lambda runner, *args, **kwargs: started.append(runner.iter)
            ),
            'VERY_LOW',
        )
        return runner

    monkeypatch.setattr(dsnas_stages, 'build_runner', watched)
    run_stages(config)
    assert (
        started == list(range(iteration - 1, 9))
        and (tiny.folder / 'run' / stage / 'last_checkpoint').exists()
    )


@pytest.mark.slow
def test_averaged_weights_are_what_is_deployed(tiny, runners):
    config = dsnas(
        tiny.folder,
        epochs=2,
        search=1,
        warm_up=0,
        second_stage=dict(custom_hooks=[dict(type='EMAHook', momentum=0.3)]),
    )
    result = run_stages(config)
    last = load_checkpoint(tiny.folder / 'train/epoch_2.pth')
    saved = state(tiny.folder)
    name = 'head.fc.weight'
    assert torch.equal(saved[name], last['state_dict'][name]) and not torch.equal(
        saved[name], last['ema_state_dict'][f'module.{name}']
    )
    arch = NASBENCH_MACRO.decode(result['arch'])
    runner = tiny.runner(
        model=model(arch=arch),
        load_from=str(tiny.folder / 'subnet.pth'),
        work_dir=str(tiny.folder / 'plain'),
        **{key: config[key] for key in ('test_dataloader', 'test_evaluator', 'test_cfg')},
    )
    assert runner.test() == result['metrics']


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
def test_detectors_and_segmentors_learn_too(scope):
    tasks = runpy.run_path(str(Path(__file__).parents[1] / 'scoring/test_evaluator_tasks.py'))
    init_default_scope(scope)
    torch.manual_seed(0)
    config = tasks['retinanet' if scope == 'mmdet' else 'segmentor']()
    if scope == 'mmdet':
        config['train_cfg'] = dict(
            assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4),
            allowed_border=-1,
            pos_weight=-1,
        )
    net = MODELS.build(ConfigDict(config)).train()
    wrapper = DSNASOptimWrapper(
        optimizer=torch.optim.SGD(net.parameters(), lr=0.01),
        macs_limit=1e5,
        macs_coef=1e-3,
        input_size=64,
    )
    wrapper.initialize_count_status(net, 0, 3)
    data = tasks['collate'](tasks['dataset'](scope)[:2])
    losses = [net.train_step(data, wrapper)['loss'].item() for _ in range(3)]
    assert all(map(math.isfinite, losses)) and wrapper.passes == 3
    assert all(row.abs().max() > 1e-4 for row in wrapper.logits.rows)


# Wrong input.


@pytest.mark.parametrize(
    'changes, message',
    [
        (
            dict(optim_wrapper=dict(type='OptimWrapper')),
            "optim_wrapper of type OptimWrapper: expected 'pinas_mm.DSNASOptimWrapper' or",
        ),
        (dict(custom_hooks=[]), 'custom_hooks without .*DSNASHook.*: nothing would end the search'),
        (
            dict(
                custom_hooks=[
                    dict(type='pinas_mm.DSNASHook', search=1),
                    dict(type='pinas_mm.ArchSamplingHook'),
                ]
            ),
            'custom_hooks has ArchSamplingHook, but pinas_mm.DSNASOptimWrapper draws the archs '
            'itself',
        ),
        (
            dict(second_stage=dict(train_dataloader=dict(prefetch_factor=2))),
            '^second_stage.train_dataloader.prefetch_factor=2: expected ',
        ),
    ],
)
def test_a_config_that_is_none_of_dsnas_is_refused(tiny, changes, message):
    with pytest.raises(InputError, match=message):
        run_stages(dsnas(tiny.folder / 'run', **changes))
    assert not (tiny.folder / 'run').exists()


class OwnDSNASHook(DSNASHook):
    """As a user derives it."""


class OwnOptimWrapper(DSNASOptimWrapper):
    pass


class OwnSamplingHook(ArchSamplingHook):
    pass


@pytest.mark.parametrize(
    'hook, wrapper',
    [
        ('pinas_mm.engine.hooks.dsnas_hook.DSNASHook', 'pinas_mm.strategies.DSNASOptimWrapper'),
        (DSNASHook, DSNASOptimWrapper),
        (OwnDSNASHook, OwnOptimWrapper),
    ],
)
def test_hook_and_wrapper_may_be_named_in_any_way(tiny, hook, wrapper):
    config = dsnas(tiny.folder, hook=dict(type=hook), wrapper=dict(type=wrapper))
    check_dsnas_config(config)
    hand_over(tiny.folder / 'hand_over.pth')
    second = second_stage_config(config, tiny.folder / 'hand_over.pth')
    assert not second.custom_hooks
    assert second.optim_wrapper.type == 'OptimWrapper'
    config.custom_hooks.append(dict(type=OwnSamplingHook))
    with pytest.raises(InputError, match='custom_hooks has ArchSamplingHook'):
        check_dsnas_config(config)


def test_a_moved_run_resumes(tiny, monkeypatch):
    config = dsnas(tiny.folder / 'run', epochs=2, search=1, warm_up=0)
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(dsnas_stages, 'train', stop)
        run_stages(config)
    (tiny.folder / 'run').rename(tiny.folder / 'moved')
    config.work_dir = str(tiny.folder / 'moved')
    assert run_stages(config)['search_epochs'] == 1
    assert not (tiny.folder / 'run').exists()


def stop(*unused):
    raise StoppedError


@pytest.mark.slow
def test_stages_of_another_config_are_refused(tiny, monkeypatch):
    """Also where the first one is over: its hand-over is of other options."""
    config = dsnas(tiny.folder / 'run', epochs=2, search=1, warm_up=0)
    build = dsnas_stages.build_runner

    def first_stage_alone(config):
        if 'train' in config.work_dir:
            raise StoppedError
        return build(config)

    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(dsnas_stages, 'build_runner', first_stage_alone)
        run_stages(config)
    before = (tiny.folder / 'run/search/hand_over.pth').stat().st_mtime_ns
    config.optim_wrapper.optimizer.lr = 0.01
    with pytest.raises(
        InputError,
        match='run/search: made with another config: optim_wrapper.optimizer.lr was 0.05 and is '
        '0.01; choose another --work-dir',
    ):
        run_stages(config)
    config.optim_wrapper.optimizer.lr = 0.05
    config.second_stage = dict(model=dict(head=dict(topk=(1, 2))))
    checkpoint = tiny.folder / 'run/train/last_checkpoint'
    checkpoint.write_text('epoch_1.pth')  # so it has something to keep
    with pytest.raises(
        InputError, match=r'run/train: made with another config: model.head.topk was not set and is'
    ):
        run_stages(config)
    checkpoint.unlink()
    config.pop('second_stage')
    assert run_stages(config)['search_epochs'] == 1
    assert (tiny.folder / 'run/search/hand_over.pth').stat().st_mtime_ns == before


# Two ranks.


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('dsnas')
    on_two_ranks(tiny_dsnas.train, folder, folder)
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize('run', ['own', 'shared', 'ddp', 'cells'])
def test_two_ranks_learn_one_model_and_one_distribution(ranks, run):
    first, second = (rank[run] for rank in ranks)
    assert (first['archs'] == second['archs']) == (run == 'shared')
    assert not torch.equal(first['signal'][0], second['signal'][0]), 'each has its own batch'
    assert (
        all(map(torch.equal, first['logits'], second['logits']))
        and first['fixed'] == second['fixed']
    )
    assert (
        any(row.abs().max() > 0.05 for row in first['logits'])
        and first['baseline'] == second['baseline']
    )
    assert same(first['weights'], second['weights'])


@pytest.mark.distributed
def test_both_model_wrappers_train_the_same(ranks):
    own, ddp = ranks[0]['own'], ranks[0]['ddp']
    assert own['archs'][:2] == ddp['archs'][:2]
    torch.testing.assert_close(
        own['weights']['backbone.stem.0.weight'],
        ddp['weights']['backbone.stem.0.weight'],
        rtol=1e-2,
        atol=1e-3,
    )


@pytest.mark.distributed
def test_both_stages_on_two_ranks(ranks):
    first, second = (rank['stages'] for rank in ranks)
    assert (
        first['arch'] == second['arch']
        and first['metrics'] == second['metrics']
        and first['search_epochs'] <= 2
    )


@pytest.mark.distributed
def test_memory_of_the_supernet_is_released(tmp_path):
    """What the process has in memory falls by the other candidates, at the least: their gradients
    and momentum are gone too."""
    assert finish([start(tiny_dsnas.measure_memory, tmp_path, 'report', tmp_path)]) == [0]
    if not (tmp_path / 'memory.pth').exists():
        pytest.skip('memory is read from /proc, and freed by glibc')
    search, train = torch.load(tmp_path / 'memory.pth')
    released = search['parameters'] - train['parameters']
    assert search['parameters'] > 140 and released > 50
    assert search['resident'] - train['resident'] > 0.8 * released
