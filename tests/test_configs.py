import copy
import inspect
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import HOOKS, LOOPS, MODELS, OPTIMIZERS, PARAM_SCHEDULERS
from mmengine.visualization import Visualizer
from mmpretrain.structures import DataSample
from our_configs import check_each, names, read
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from pinas_mm import config_path
from pinas_mm.engine.loaders import arch_evaluation, calibration_loader, whole_set_loader
from pinas_mm.engine.search_config import search_config
from pinas_mm.engine.search_loop import build_searcher
from pinas_mm.models.backbones import ArchBackbone, SearchableResNeSt
from pinas_mm.spaces.subnet_file import SubnetFile

# Those of mmpretrain's scope; detection and segmentation: test_transfer_configs.py.
# What the found subnet is put to, in other mm packages: tests/test_quickstart_transfers.py.
TRANSFERS = ('quickstart/detect.py', 'quickstart/segment.py')
CONFIGS = [
    name for name in names('dsnas', 'pinas', 'quickstart', 'ranking') if name not in TRANSFERS
]
RETRAIN = [name for name in CONFIGS if 'retrain' in name]
SUBNETS = {
    'pinas_mm.SearchableMacroNet': SubnetFile(
        space='nasbench_macro', arch=(1, 2, 0, 1, 2, 0, 1, 2), widen_factor=0.25
    ),
    'pinas_mm.SearchableShuffleNetV2': SubnetFile(
        space='shufflenetv2', arch=(0, 1, 2, 3) * 5, widen_factor=0.25
    ),
    'pinas_mm.SearchableResNeSt': SubnetFile(
        space='resnest50', arch=(0, 1, 2, 3) * 4, widen_factor=1.0
    ),
}
PUBLISHED = 'pinas/pinas_resnest50{}_in1k.py'
RANKING = 'ranking/{}_nasbench-macro_1xb128-200k_cifar10.py'
# Image passes per image and step: paths, and a third for each forward pass of a teacher or of a
# frozen backbone.
PASSES = {
    'uniform': 1,
    'rare': 1,
    'fair': 3,
    'sandwich': 4,
    'pinas': 2 + 2 / 3,
    'dna': 4 / 3,
    'bossnas': 8,
}


def build_model(config, folder, device='meta'):
    """The model, uninitialised; where a config reads the found subnet, one is written here."""
    model = config.model.to_dict()
    backbone = model.get('model', model)['backbone']  # a strategy holds the model
    if str(backbone.get('arch', '')).endswith('.yaml'):
        SUBNETS[backbone['type']].write(folder / 'subnet.yaml')
        backbone['arch'] = str(folder / 'subnet.yaml')
    model.setdefault('data_preprocessor', config.data_preprocessor.to_dict())
    with torch.device(device):
        return MODELS.build(model)


def values(config, key) -> Iterator:
    """What stands under ``key`` anywhere in a config."""
    if isinstance(config, dict):
        for name, value in config.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from values(value, key)


def test_there_are_configs():
    assert {
        'quickstart/learn.py',
        PUBLISHED.format('_8xb24-coslr-100e'),
        PUBLISHED.format('-search'),
    } <= set(CONFIGS)


@pytest.mark.slow
def test_the_model_builds_and_all_else_that_is_named_exists(tmp_path):
    def check(name):
        config = read(name)
        model = build_model(config, tmp_path)
        assert isinstance(model.backbone, ArchBackbone)
        assert config.randomness.seed == 0
        # A retrained subnet runs all of its parameters in every step: mmengine's own wrapper.
        wrapper = config.get('model_wrapper_cfg', dict(type=None))['type']
        assert wrapper == (None if name in RETRAIN else 'pinas_mm.ActiveGradientDataParallel')

        if config.get('optim_wrapper'):
            parameters = [torch.nn.Parameter(torch.zeros(1))]
            OPTIMIZERS.build(dict(config.optim_wrapper.optimizer, params=parameters))
            optimiser = torch.optim.SGD(parameters, lr=1)
            for scheduler in config.param_scheduler:
                length = dict(epoch_length=10) if scheduler.get('convert_to_iter_based') else {}
                PARAM_SCHEDULERS.build(
                    dict(scheduler), default_args=dict(optimizer=optimiser, **length)
                )
        Visualizer.get_instance('configs')  # the visualisation hook wants one
        for hook in [*config.default_hooks.values(), *config.get('custom_hooks', [])]:
            HOOKS.build(dict(hook))
        for phase in ('train', 'val', 'test'):
            cfg = config.get(f'{phase}_cfg')
            assert (cfg is None) == (config.get(f'{phase}_dataloader') is None), (
                f'{phase}_cfg and {phase}_dataloader'
            )
            if cfg and 'type' in cfg:
                arguments = {key: value for key, value in cfg.items() if key != 'type'} | dict(
                    runner=None, dataloader=None
                )
                needed = {} if phase == 'train' else dict(evaluator=None)
                inspect.signature(LOOPS.get(cfg.type)).bind(**arguments, **needed)
        if 'search_loop' in config:
            cfg = search_config(config).test_cfg
            arguments = {key: value for key, value in cfg.items() if key != 'type'}
            inspect.signature(LOOPS.get(cfg.type)).bind(
                runner=None, dataloader=None, evaluator=None, **arguments
            )
            build_searcher(
                cfg.searcher.to_dict(), model.backbone.space, None, 0, arguments['num_archs']
            )

    check_each(check, CONFIGS)


@pytest.mark.slow
def test_no_search_is_a_random_draw_under_another_name():
    """Over all shipped configs: the searcher proposes more than half of the archs. The searches of
    ``benchmarks/adapt.py`` are of these configs, with 40 and with 16 archs."""
    searches = {}

    def check(name):
        config = read(name)
        loop = config.get('search_loop')
        if not loop or loop.searcher.type == 'random':
            return
        space = MODELS.get(config.model.backbone.type).space_of(config.model.backbone)
        given = loop.num_archs
        for num_archs in (given, 40, 16) if name.startswith('adapt/') else (given,):
            searcher = build_searcher(loop.searcher.to_dict(), space, None, 0, num_archs)
            assert 2 * searcher.num_initial < num_archs
        searches[name] = given

    check_each(check, names())
    assert {'quickstart/search.py', PUBLISHED.format('-search')} < searches.keys()
    assert (
        sum(name.startswith('adapt/') for name in searches) >= 20 and min(searches.values()) <= 60
    )


@pytest.mark.slow
def test_pipelines_run():
    def check(name):
        config = read(name)
        pipelines = [pipeline for pipeline in values(config.to_dict(), 'pipeline')]
        assert pipelines
        unique = {str(pipeline): pipeline for pipeline in pipelines}
        sizes = set()
        for pipeline in unique.values():
            Compose(pipeline)
            steps = [step for step in pipeline if 'LoadImage' not in step['type']]
            image = np.random.default_rng(0).integers(
                0, 256, (300, 280, 3) if 'in1k' in name else (32, 32, 3), np.uint8
            )
            sample = dict(img=image, img_shape=image.shape[:2], gt_label=1, sample_idx=0)
            inputs = Compose(steps)(sample)['inputs']
            for tensor in inputs if isinstance(inputs, list) else [inputs]:
                sizes.add(tuple(tensor.shape))
        if 'in1k' in name:
            expected = {224, 256} if name in RETRAIN else {224}  # mmpretrain's recipe tests at 256
        else:
            expected = {16} if 'quickstart' in name else {32}
        assert sizes == {(3, size, size) for size in expected}

    check_each(check, CONFIGS)


@pytest.mark.slow
def test_learning_reads_four_views_and_nothing_held_out(tmp_path):
    def check(name):
        config = read(name)
        dataset = config.train_dataloader.dataset
        pipeline = next(values(dataset.to_dict(), 'pipeline'))
        (views,) = [step for step in pipeline if step['type'] == 'MultiView']
        assert (
            views['num_views'] == [4]
            and config.train_dataloader.collate_fn.type == 'default_collate'
        )
        assert dataset.get('part', dataset.get('split')) == 'learning'
        model = build_model(config, tmp_path)
        assert (
            model.queue.shape == (config.model.queue_len, config.model.feat_dim)
            and config.model.backbone.get('arch') is None
        )
        assert config.train_dataloader.batch_size <= config.model.queue_len
        width = model.backbone.channels(
            model.backbone.space.tail_channels or model.backbone.space.positions[-1].out_channels
        )
        assert (
            config.model.neck.in_channels == width
            and config.model.neck.out_channels == config.model.feat_dim
        )
        hooks = [hook for hook in config.custom_hooks if hook.type == 'pinas_mm.KNNHook']
        assert len(hooks) == (not name.startswith('ranking/'))  # which count image passes
        for hook in hooks:
            assert (
                hook.bank_dataloader.dataset.get('part', hook.bank_dataloader.dataset.get('split'))
                == 'learning'
            )
            assert (
                hook.query_dataloader.dataset.get(
                    'part', hook.query_dataloader.dataset.get('split')
                )
                == 'held_out'
            )

    check_each(check, [name for name in CONFIGS if 'pinas_mm.PiNAS' in str(read(name).model.type)])


def splits(dataset):
    return (
        dataset.get('part', dataset.get('split', 'test')),
        dataset.get('held_out'),
        dataset.get('seed', 0),
    )


def test_search_scores_on_held_out_samples_and_calibrates_on_others():
    def check(name):
        config = read(name)
        scored, calibrated = (
            splits(data.dataset)
            for data in (config.val_dataloader, config.arch_evaluation.calibration_dataloader)
        )
        assert (
            scored[0] == 'held_out' and calibrated[0] == 'learning' and scored[1:] == calibrated[1:]
        )
        assert config.arch_evaluation.calibration_dataloader.batch_size >= 16
        assert splits(config.test_dataloader.dataset)[0] not in ('held_out', 'learning')
        assert splits(read(name).train_dataloader.dataset)[0] == 'learning'

    check_each(check, [name for name in CONFIGS if 'search' in name])


@pytest.mark.slow
def test_the_linear_stage_trains_the_classifier_alone(tmp_path):
    def check(name):
        config = read(name)
        model = build_model(config, tmp_path).train()
        assert {
            n.partition('.')[0]
            for n, parameter in model.named_parameters()
            if parameter.requires_grad
        } <= {'head', 'neck'}
        assert any(parameter.requires_grad for parameter in model.head.parameters())
        assert all(layer.training for layer in model.modules() if isinstance(layer, _BatchNorm)), (
            'no running statistics fit all archs'
        )
        assert [hook.type for hook in config.custom_hooks] == ['pinas_mm.ArchSamplingHook']
        assert (
            config.model.backbone.init_cfg.type == 'Pretrained'
            and config.model.backbone.init_cfg.prefix == 'backbone.'
        )

    check_each(check, [name for name in CONFIGS if 'linear' in name])


def test_the_found_subnet_is_trained_whole(tmp_path):
    def check(name):
        config = read(name)
        model = build_model(config, tmp_path)
        assert not model.backbone.is_supernet and all(
            parameter.requires_grad for parameter in model.parameters()
        )
        assert config.get('custom_hooks') == []

    check_each(check, [name for name in CONFIGS if 'finetune' in name])


@pytest.mark.slow
def test_quick_start_data_need_no_download():
    def check(name):
        config = read(name)
        for phase in ('train', 'val', 'test'):
            data = config.get(f'{phase}_dataloader')
            if data is not None:
                loader = whole_set_loader(data.to_dict())
                assert loader.dataset[0]['inputs'] is not None and len(loader.dataset) in (
                    1097,
                    300,
                    2000,
                )
        if 'arch_evaluation' in config and 'learn' not in name:
            evaluation = config.arch_evaluation.to_dict()
            assert (
                len(
                    calibration_loader(
                        evaluation['calibration_dataloader'], evaluation['calibration_batches']
                    )
                )
                == 8
            )

    check_each(check, [name for name in CONFIGS if name.startswith('quickstart')])


def test_published_learning_stage(tmp_path):
    config = read(PUBLISHED.format('_8xb24-coslr-100e'))
    model, optimiser = config.model, config.optim_wrapper.optimizer
    assert (model.queue_len, model.momentum, model.head.temperature, model.feat_dim) == (
        49152,
        0.999,
        0.2,
        128,
    )
    assert (model.neck.type, model.neck.in_channels) == ('MoCoV2Neck', 2048)
    assert (model.neck.hid_channels, model.neck.out_channels) == (2048, 128)
    assert optimiser == dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4)
    assert config.train_cfg.max_epochs == 100 and config.train_dataloader.batch_size == 24
    assert config.param_scheduler == [dict(type='CosineAnnealingLR', T_max=100, by_epoch=True)]
    assert config.auto_scale_lr.base_batch_size == 8 * 24
    net = build_model(config, tmp_path)
    assert (
        net.backbone.widen_factor == 1
        and net.backbone.space.name == 'resnest50'
        and net.backbone.zero_init_residual
    )
    assert net.backbone.share_shortcut and [type(layer).__name__ for layer in net.neck.mlp] == [
        'Linear',
        'ReLU',
        'Linear',
    ]
    assert net.teacher.momentum == 0.999 and not net.decay_inactive
    assert not any(parameter.requires_grad for parameter in net.teacher.parameters())


def test_the_published_head_starts_as_kaiming_s():
    """Normal with a variance of 2 / fan-in, biases of zero; torch's own start is uniform with a
    variance of 1 / (3 fan-in)."""
    torch.manual_seed(0)
    neck = MODELS.build(read(PUBLISHED.format('_8xb24-coslr-100e')).model.neck)
    neck.init_weights()
    layers = [module for module in neck.modules() if isinstance(module, torch.nn.Linear)]
    assert [layer.out_features for layer in layers] == [2048, 128]
    for layer in layers:
        weight = layer.weight.detach().double()
        assert layer.bias.abs().max() == 0
        standard = weight / math.sqrt(2 / 2048)
        assert abs(standard.mean()) < 5 / math.sqrt(weight.numel())
        assert standard.std().item() == pytest.approx(1, abs=0.01)
        # The share within one deviation is 68 % of a normal distribution, 58 % of a uniform one.
        assert (standard.abs() < 1).double().mean().item() == pytest.approx(0.6827, abs=0.005)


def test_published_linear_stage():
    config = read(PUBLISHED.format('-linear_8xb32-steplr-100e'))
    assert config.optim_wrapper.optimizer == dict(type='SGD', lr=30, momentum=0.9, weight_decay=0)
    assert config.param_scheduler == [
        dict(type='MultiStepLR', milestones=[60, 80], gamma=0.1, by_epoch=True)
    ]
    assert config.train_cfg.max_epochs == 100 and config.train_dataloader.batch_size == 32
    assert config.auto_scale_lr.base_batch_size == 8 * 32
    assert config.model.head.num_classes == 1000 and config.model.head.in_channels == 2048


def test_published_search():
    config = read(PUBLISHED.format('-search'))
    cfg, evaluation = config.search_loop, arch_evaluation(config)
    arguments = {
        key: parameter.default
        for key, parameter in inspect.signature(LOOPS.get(cfg.type)).parameters.items()
    } | cfg.to_dict()
    assert (arguments['num_archs'], arguments['ask_size'], arguments['input_size']) == (
        1000,
        8,
        224,
    )
    assert arguments['score_samples'] is arguments['calibration_dataloader'] is None
    assert evaluation['calibration_dataloader']['batch_size'] == 128
    assert (evaluation['calibration_batches'], evaluation['autocast']) == (49, None)
    searcher = build_searcher(arguments['searcher'], SearchableResNeSt.space, None, 0, 1000)
    assert searcher.published and not searcher.additive and searcher.exploration == 0
    assert (searcher.num_initial, searcher.refit_every, searcher.max_draws) == (80, 8, 200_000)
    assert searcher.depth == 1 and searcher.depth_thresholds == (400, 800, 1600, 3200)


def test_the_held_out_part_of_imagenet():
    for stage in ('_8xb24-coslr-100e', '-linear_8xb32-steplr-100e', '-search'):
        config = read(PUBLISHED.format(stage))
        learned = config.train_dataloader.dataset
        # The learning stage watches the held-out part with its hook.
        held_out = (config.val_dataloader or config.custom_hooks[0].query_dataloader).dataset
        assert (learned.part, held_out.part) == ('learning', 'held_out')
        assert learned.held_out == held_out.held_out == 50000
        assert learned.dataset.split == held_out.dataset.split == 'train'
        assert config.train_dataloader.drop_last


def test_retraining_is_the_recipe_of_mmpretrain_with_another_backbone(tmp_path):
    theirs = Config.fromfile(config_path('mmpretrain::resnest/resnest50_32xb64_in1k.py'))
    added = {'custom_imports', 'searched_backbone', 'randomness', 'val_cfg', 'test_cfg'}
    for name in RETRAIN:
        config = read(name)
        assert {key for key in config if config[key] != theirs.get(key)} == added | {
            'model',
            'default_hooks',
        }
        assert {key for key in config.model if config.model[key] != theirs.model.get(key)} == {
            'backbone'
        }
        assert dict(config.default_hooks, epoch_seed=None) == dict(
            theirs.default_hooks, epoch_seed=None
        )
        assert (
            '270e' in name
            and config.train_cfg.max_epochs == 270
            and config.auto_scale_lr.base_batch_size == 32 * 64
        )
        model = build_model(config, tmp_path)
        assert not model.backbone.is_supernet and all(
            parameter.requires_grad for parameter in model.parameters()
        )
        assert (
            model.backbone.out_indices == (3,)
            and model.head.fc.in_features == model.backbone.space.positions[-1].out_channels
        )
    published = build_model(read(min(RETRAIN, key=len)), tmp_path)
    assert (
        sum(parameter.numel() for parameter in published.parameters())
        == 24_997_278 + 2048 * 1000 + 1000
    )  # 27.1 M as published
    scratch, inherited = (read(name).model.backbone for name in sorted(RETRAIN, key=len))
    assert scratch.init_cfg is None and scratch.arch == [
        3,
        0,
        1,
        3,
        2,
        3,
        1,
        2,
        0,
        3,
        2,
        1,
        3,
        0,
        3,
        2,
    ]
    assert inherited.arch == 'work_dirs/search/subnet.yaml'
    assert inherited.init_cfg == dict(
        type='Pretrained', checkpoint='work_dirs/search/subnet.pth', prefix='backbone.'
    )


def test_the_test_set_is_for_the_test_alone():
    """Archs are scored on the held-out part in every config that scores archs."""

    def check(name):
        config = read(name)
        if config.val_dataloader is not None:
            assert splits(config.val_dataloader.dataset)[0] == 'held_out'
            assert splits(config.test_dataloader.dataset)[0] not in ('held_out', 'learning')

    check_each(check, [name for name in CONFIGS if 'arch_evaluation' in read(name)])


@pytest.mark.slow
@pytest.mark.parametrize(
    'name', [name for name in CONFIGS if 'resnest50' in name and 'in1k' in name]
)
def test_one_step_at_full_size(name, tmp_path):
    """On two small images; with parameters, and MACs of one arch at 224x224 (-s prints them)."""
    torch.manual_seed(0)
    model = build_model(read(name), tmp_path, 'cpu').train()
    supernet, learns = model.backbone.is_supernet, hasattr(model, 'teacher')
    if supernet and not learns:
        model.backbone.set_arch((0, 1, 2, 3) * 4)
    images = list(torch.randint(0, 256, (8 if learns else 2, 3, 64, 64), dtype=torch.uint8))
    data = dict(
        inputs=[torch.stack(images[view::4]) for view in range(4)] if learns else images,
        data_samples=[DataSample().set_gt_label(label) for label in (3, 5)],
    )
    loss, _ = model.parse_losses(model(**model.data_preprocessor(data, training=True), mode='loss'))
    loss.backward()
    # In a supernet that learns, two paths have gradients; else everything that is not frozen.
    silent = {
        key.partition('.')[0]
        for key, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    }
    assert torch.isfinite(loss) and silent == ({'backbone'} if learns else set())

    with FlopCounterMode(display=False) as flops, torch.no_grad():
        model.backbone.to('meta').eval()(torch.empty(1, 3, 224, 224, device='meta'))
    macs, parameters = (
        flops.get_total_flops() / 2e9,
        sum(parameter.numel() for parameter in model.parameters()) / 1e6,
    )
    print(f'{name}: {parameters:.1f} M parameters, {macs:.3g} G MACs at 224x224')
    assert 4 < macs < 6 and (parameters < 30) == (not supernet)


def test_strategies_are_compared_at_equal_image_passes(tmp_path):
    uniform = read(RANKING.format('uniform'))
    for name in (
        name for name in CONFIGS if name.startswith('ranking/') and '_nasbench-macro_1xb' in name
    ):
        config, stage = read(name), name.split('/')[1].split('_')[0]
        iterations = config.train_cfg.max_iters
        assert (
            config.param_scheduler[0].T_max == iterations
            and config.default_hooks.checkpoint.interval == -1
        )  # one, at the end
        # pinas and its classifier share them.
        linear, unsupervised = (
            stage.endswith('-linear'),
            stage.startswith('pinas') and 'supervised' not in stage,
        )
        share = 0.1 if linear else 0.9 if unsupervised else 1.0
        spent = (
            iterations
            * config.train_dataloader.batch_size
            * (1 / 3 if linear else PASSES[stage.split('-')[0]])
        )
        assert 0.98 * share < spent / 200_000 <= share
        if unsupervised or stage in ('dna', 'bossnas'):
            continue
        changed = {key for key in config if config[key] != uniform.get(key)}
        assert changed <= {
            'model',
            'custom_hooks',
            'iterations',
            'param_scheduler',
            'train_cfg',
            'optim_wrapper',
        }
        model = copy.deepcopy(config.model.get('model', config.model))
        assert model.backbone.pop('zero_init_residual', True) == ('rare-identity' not in stage)
        assert (
            model == uniform.model
            and config.optim_wrapper.optimizer == uniform.optim_wrapper.optimizer
        )


def test_the_published_schedule_of_dsnas():
    """Hu et al.'s code: 5 epochs up from 1e-4 to 0.5, a cosine over what is left of 240 epochs, of
    which the search takes 80; then 160 epochs along another cosine, from the last rate down to 0.
    """
    config, length = read('dsnas/dsnas_shufflenetv2_8xb128-coslr-240e_in1k.py'), 100

    def published(iteration, peak, first, last):
        done = (iteration - first) / (last - first)
        return peak * (1 + math.cos(math.pi * done)) / 2

    expected = [1e-4 + (0.5 - 1e-4) * iteration / (5 * length) for iteration in range(5 * length)]
    expected += [
        published(iteration, 0.5, 5 * length, 240 * length)
        for iteration in range(5 * length, 80 * length)
    ]
    reached = expected[-1]
    expected += [
        published(iteration, reached, 0, 160 * length) for iteration in range(160 * length)
    ]

    optimiser = torch.optim.SGD(
        [torch.nn.Parameter(torch.zeros(1))], lr=config.optim_wrapper.optimizer.lr
    )
    schedulers = [
        PARAM_SCHEDULERS.build(
            scheduler.to_dict(), default_args=dict(optimizer=optimiser, epoch_length=length)
        )
        for scheduler in config.param_scheduler
    ]
    found = []
    for _ in range(config.train_cfg.max_epochs * length):
        found.append(optimiser.param_groups[0]['lr'])
        optimiser.step()
        for scheduler in schedulers:
            scheduler.step()
    # mmengine's warm-up ends one iteration sooner.
    np.testing.assert_allclose(found[: 5 * length], expected[: 5 * length], atol=1.1e-3)
    np.testing.assert_allclose(found[5 * length :], expected[5 * length :], rtol=1e-4, atol=1e-7)
    assert found[0] == pytest.approx(1e-4) and reached == pytest.approx(0.38458, abs=1e-4)

    hook, wrapper = config.custom_hooks[0], config.optim_wrapper
    assert (hook.search, hook.warm_up) == (80, 15)
    assert (wrapper.macs_limit, wrapper.input_size) == (290e6, 224)
    assert config.model.head.get('dropout', 0.1) == 0.1
    assert config.second_stage.model.head.dropout == 0
    assert config.model.backbone.norm_cfg == dict(type='BN', eps=1e-2)


def test_the_published_supernet_of_shuffle_blocks(tmp_path):
    """Guo et al., ECCV 2020: 120 epochs of 1,024 images, weight decay on weights of layers alone;
    and one step at full width."""
    config = read('ranking/uniform_shufflenetv2_8xb128-polylr-120e_in1k.py')
    assert config.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.5, momentum=0.9, weight_decay=4e-5, _scope_='mmpretrain'
    )
    assert config.optim_wrapper.paramwise_cfg == dict(norm_decay_mult=0)
    assert (
        config.train_cfg.max_epochs == 120
        and 8 * config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == 1024
    )
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    (schedule,) = config.param_scheduler
    schedule = PARAM_SCHEDULERS.build(
        dict(schedule, end=11), default_args=dict(optimizer=optimiser)
    )
    rates = []
    for _ in range(11):
        rates.append(optimiser.param_groups[0]['lr'])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([0.5 - 0.05 * step for step in range(11)])
    assert (
        splits(config.train_dataloader.dataset)[0] == 'learning'
        and splits(config.val_dataloader.dataset)[0] == 'held_out'
    )
    learned = config.train_dataloader.dataset.dataset.pipeline
    assert [step.type for step in learned] == [
        'LoadImageFromFile',
        'RandomResizedCrop',
        'ColorJitter',
        'RandomFlip',
        'PackInputs',
    ]
    assert learned[2] == dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4)
    calibrated = config.arch_evaluation.calibration_dataloader.dataset.dataset
    assert calibrated.pipeline == learned
    assert 'ColorJitter' not in str(config.val_dataloader)
    (hook,) = config.custom_hooks
    assert hook.cost_bins == dict(macs=[290e6, 300e6, 310e6, 320e6, 330e6, 340e6, 350e6, 360e6])
    assert hook.input_size == 224

    torch.manual_seed(0)
    model = build_model(config, tmp_path, 'cpu').train()
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    assert all(norm.weight is None and norm.bias is None for norm in norms) and len(norms) > 300
    blue = torch.zeros(3, 8, 8, dtype=torch.uint8)
    blue[0] = 255  # mm reads BGR
    seen = model.data_preprocessor(dict(inputs=[blue], data_samples=[DataSample()]))['inputs'][0]
    assert torch.equal(seen, blue.float()), 'neither normalised nor turned to RGB'
    assert (
        model.backbone.is_supernet
        and model.backbone.mid_scales == (1.0,) * 20
        and model.head.dropout.p == 0.1
    )
    model.init_weights()
    model.backbone.set_arch((0, 1, 2, 3) * 5)
    images = list(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    data = dict(inputs=images, data_samples=[DataSample().set_gt_label(label) for label in (3, 5)])
    loss, _ = model.parse_losses(model(**model.data_preprocessor(data, training=True), mode='loss'))
    # Near 0 for each class, logits give the logarithm of their number, label smoothing or not.
    assert loss.item() == pytest.approx(np.log(1000), abs=0.5)
    scores = torch.zeros(1, 1000)
    scores[0, 3] = 2
    labels = torch.full((1, 1000), 0.1 / 1000)
    labels[0, 3] += 0.9
    expected = -(labels * scores.log_softmax(dim=1)).sum()
    assert model.head.loss_module(scores, torch.tensor([3])).item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_the_narrow_supernet_of_shuffle_blocks_differs_in_its_network_alone(tmp_path):
    config, other = (
        read('ranking/uniform_shufflenetv2_1xb128-200k_cifar10.py'),
        read(RANKING.format('uniform')),
    )
    assert {key for key in config if config[key] != other.get(key)} == {'model'}
    model = build_model(config, tmp_path)
    assert (
        model.backbone.widen_factor == other.model.backbone.widen_factor
        and model.head.dropout.p == 0.1
    )
    assert model.backbone.stem[0].stride == (1, 1)
    assert (
        (model.backbone.out_channels[-1], model.head.fc.out_features)
        == (model.head.fc.in_features, 10)
        == (256, 10)
    )
