"""Settings of configs are checked before anything is built; tests/tools/test_wrong_lines.py does it
through the tools, and tests/test_configs.py reads what is shipped."""

import copy
import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS, METRICS, OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS
from mmpretrain.evaluation import Accuracy
from our_configs import check_each, names, read
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset

from pinas_mm.engine.hooks import ArchSamplingHook, KNNHook, PredictionPictureHook
from pinas_mm.engine.hooks.dsnas_hook import DSNASHook
from pinas_mm.engine.runner import build_runner
from pinas_mm.engine.settings_check import check_launcher, check_phases, check_settings
from pinas_mm.errors import InputError
from pinas_mm.models.backbones import SearchableMacroNet, SearchableShuffleNetV2
from pinas_mm.models.heads import DropoutLinearClsHead
from pinas_mm.models.selfsup import PiNAS
from pinas_mm.schema import check_arguments
from pinas_mm.scoring.race import Race
from pinas_mm.searching.searchers import SEARCHERS
from pinas_mm.strategies import DSNASOptimWrapper
from pinas_mm.strategies.fair import FairStrategy
from pinas_mm.strategies.sandwich import SandwichStrategy
from pinas_mm.strategies.subnet_aware import SubnetAwareOptimWrapper
from pinas_mm.strategies.supervised_pi import SupervisedPiStrategy
from pinas_mm.tasks.domains import DANN
from pinas_mm.tasks.reid import ReIDMetric


@pytest.fixture
def config(tiny):
    """A training and a search of digits."""
    return tiny.config(
        train_dataloader=tiny.digits(),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        param_scheduler=[dict(type='CosineAnnealingLR', T_max=1, convert_to_iter_based=True)],
        val_dataloader=tiny.digits('held_out', indices=20),
        val_evaluator=[dict(type='Accuracy', topk=(1,))],
        val_cfg=dict(type='pinas_mm.ArchValLoop', num_archs=1),
        custom_hooks=[dict(type='pinas_mm.ArchSamplingHook', priority='LOW')],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=-1), timer=None),
        arch_evaluation=dict(calibration_dataloader=tiny.digits(), calibration_batches=1),
        search_loop=dict(
            type='pinas_mm.SearchLoop',
            searcher=dict(type='evolution', population=3),
            input_size=[32, 32],
            constraints=dict(macs=[None, 4e6], params=None),
            race=dict(top_k=3),
        ),
        subnet_stage=dict(optim_wrapper=dict(optimizer=dict(lr=0.2))),
    )


def test_what_is_shipped_fits():
    check_each(lambda name: check_settings(read(name)), names('dsnas'))


@pytest.mark.slow
def test_all_that_is_shipped_fits():
    check_each(lambda name: check_settings(read(name)), names())


@pytest.mark.parametrize(
    'own, change, message',
    [
        (
            {'model.backbone': 'x'},
            dict(model=dict(backbone=dict(arch=None))),
            "^subnet_stage.model.backbone={'arch': None}: changes a dict, but the config's own "
            "model.backbone='x' is none; expected "
            r'subnet_stage.model.backbone=dict\(_delete_=True, ...\), which takes its place$',
        ),
        ({}, dict(custom_hooks=dict(type='EMAHook')), r'the config.s own custom_hooks=\[\{'),
        ({}, dict(custom_hooks={'1': dict(priority=1)}), r'the config.s own custom_hooks=\[\{'),
        ({'model_wrapper_cfg': None}, dict(model_wrapper_cfg=dict(type='A')), '_cfg=None is none'),
    ],
)
def test_a_stage_that_changes_what_is_no_dict_is_refused(config, own, change, message):
    config.merge_from_dict(own)
    config.subnet_stage = change
    with pytest.raises(InputError, match=message):
        check_settings(config)
    config.subnet_stage = dict(custom_hooks={'0': dict(priority='HIGH')})
    config.model.backbone = dict(type='pinas_mm.SearchableMacroNet')
    check_settings(config)


@pytest.mark.parametrize(
    'change, message',
    [
        ({'optim_wrapper.optimizer.type': 'Adamm'}, "='Adamm': no optimizer .*expected 'Adam' or"),
        ({'optim_wrapper.optimizer.momentun': 1}, ": unknown key, expected 'momentum'"),
        ({'optim_wrapper.type': 'pinas_mm.DSNASOptimWraper'}, "'pinas_mm.DSNASOptimWrapper'"),
        ({'optim_wrapper': 'SGD'}, r"='SGD': expected a dict, such as dict\(type="),
        ({'train_dataloader.dataset.splt': 'test'}, ": unknown key, expected 'split'"),
        ({'train_dataloader.dataset.pipeline': [dict(tipe='x')]}, r'\.0\.type is missing'),
        ({'train_dataloader.dataset.pipeline': [dict(type='Rezise')]}, "type='Rezise'.*'Resize'"),
        ({'train_dataloader.sampler.shufle': True}, ": unknown key, expected 'shuffle'"),
        ({'val_evaluator.0.type': 'Acuracy'}, "='Acuracy': no metric .*'Accuracy'"),
        ({'val_evaluator.0.top': 1}, ": unknown key, expected 'topk'"),
        ({'val_cfg.num_archs': 0}, '=0: expected a whole number of at least 1'),
        ({'custom_hooks.0.seed': 'x'}, "='x': expected a whole number from 0"),
        ({'custom_hooks.0.sed': 1}, ": unknown key, expected 'seed'"),
        ({'param_scheduler.0.T_max': 'x'}, "='x': expected a finite number above 0"),
        ({'default_hooks.checkpoint.interval': 'x'}, "='x': expected a whole number"),
        ({'model.backbone.widen_factor': float('nan')}, '=nan: expected a finite number above 0'),
        ({'model.head.type': 'LinearClsHad'}, "='LinearClsHad': no model .*'LinearClsHead'"),
        ({'model_wrapper_cfg': dict(type='pinas_mm.ActiveGradientDataParalel')}, 'Parallel'),
        ({'search_loop.num_arch': 3}, ": unknown key, expected 'num_archs'"),
        ({'search_loop.searcher.type': 'evolutoin'}, "='evolutoin': no such searcher"),
        ({'search_loop.searcher.populaton': 3}, ": unknown key, expected 'population'"),
        ({'search_loop.searcher.budget': 3}, ': unknown key'),
        ({'search_loop.race.score': 'x'}, ': unknown key'),
        ({'search_loop.constraints.macs': [1, 'x']}, "'x'.*: expected the most, or the least"),
        ({'arch_evaluation.batches': 3}, ': unknown key'),
        ({'subnet_stage.optim_wrapper.optimizer.lr': 'x'}, "='x': expected a finite number"),
        ({'randomness.seed': 2**32}, 'expected a whole number from 0 to 4294967295'),
        ({'auto_scale_lr.base_batch_size': 0}, '=0: expected a whole number of at least 1'),
        ({'load_from': 3}, '=3: expected text'),
        ({'launcher': 'ssh'}, "='ssh': expected 'none', 'pytorch', 'slurm' or 'mpi'"),
        ({'default_hooks.checkpoint.max_keep_ckpts': 'x'}, "='x': expected a whole number"),
        ({'default_hooks.checkpoint.save_best': 3}, '=3: expected text'),
        ({'default_hooks.checkpoint.out_dir': 3}, '=3: expected text'),
        ({'optim_wrapper.paramwise_cfg': 3}, '=3: expected a dict'),
        ({'train_dataloader': 3}, r'=3: expected a dict, such as dict\('),
        ({'val_dataloader': [1]}, r'=\[1\]: expected a dict, such as dict\('),
        ({'train_dataloader.collate_fn': 3}, '=3: expected a dict'),
        ({'env_cfg': 3}, '=3: expected a dict'),
        ({'env_cfg.dist_cfg': 3}, '=3: expected a dict'),
        ({'env_cfg.dist_cfg.timeout': 'x'}, "='x': expected a finite number above 0"),
        ({'env_cfg.mp_cfg.mp_start_method': 'x'}, "='x': expected 'fork', 'spawn' or 'forks"),
        ({'log_level': 'INFOS'}, "='INFOS': expected the name of a level of logging, such as 'I"),
        ({'visualizer': 3}, r'=3: expected a dict, such as dict\(type='),
        ({'visualizer': dict(type='Visualiser')}, "='Visualiser': no .* 'Visualizer'"),
        ({'visualizer': dict(type='Visualizer', vis_backends=3)}, '=3: expected a list'),
        ({'log_processor': 3}, '=3: expected a dict'),
        ({'log_processor': dict(window_size='x')}, "='x': expected a whole number of at least 1"),
        ({'train_cfg.max_epochs': 10**400}, ': expected a whole number of at least 1'),
    ],
)
def test_what_does_not_fit_is_named_with_its_key(config, change, message):
    check_settings(config)
    before = copy.deepcopy(config.to_dict())
    check_settings(config)
    assert config.to_dict() == before
    config.merge_from_dict(change)
    ((key, _),) = change.items()
    with pytest.raises(InputError, match=f'^{key}.*{message}') as error:
        check_settings(config)
    assert len(str(error.value)) < 400 and '\n' not in str(error.value)


ALL = SearchableMacroNet, SearchableShuffleNetV2


@pytest.mark.parametrize(
    'cls, wrong',
    [
        (ArchSamplingHook, dict(seed=-1, input_size='x', cost_bins=3, probabilities=[-1])),
        (KNNHook, dict(num_archs=0, neighbours=0, interval=0, bank_samples=0, seed=-1)),
        (PredictionPictureHook, dict(num_images=0, columns=0, scale=0)),
        (DSNASHook, dict(search=0, warm_up=-1, keep_momentum=3)),
        (DSNASOptimWrapper, dict(reward='cubic', fix_lead=0, macs_limit=-1, arch_seed=-1)),
        (SubnetAwareOptimWrapper, dict(complexity='latency', gamma_max=0.5, momentum_slot=-1)),
        (SubnetAwareOptimWrapper, dict(gamma_max=float('nan'), input_size=0)),
        (FairStrategy, dict(arch_seed='x', shared_slot=-1, model='x')),
        (SandwichStrategy, dict(num_random=-1, input_size=[32])),
        (SupervisedPiStrategy, dict(consistency=-1, temperature=0, momentum=1.1, ramp_steps=-1)),
        (SupervisedPiStrategy, dict(initial_consistency=-0.5)),
        (PiNAS, dict(queue_len=0, feat_dim=0, momentum=1.1, probabilities=3)),
        (DropoutLinearClsHead, dict(dropout=-0.1, num_classes=0)),
        (DropoutLinearClsHead, dict(dropout=1, in_channels='x')),
        (DropoutLinearClsHead, dict(dropout=float('nan'))),
        (DANN, dict(ramp_steps=0, dropout=1.5, loss_weight=-1)),
        (ReIDMetric, dict(distance='manhattan', ranks=[0])),
        (SearchableMacroNet, dict(widen_factor=0, in_channels=0, out_indices=3, with_cp='x')),
        (SearchableShuffleNetV2, dict(stem_stride=3, mid_scales=-1, norm_cfg=3)),
        (Race, dict(top_k=0, confidence=0)),
        (Race, dict(confidence=1.0)),
        (SEARCHERS['random'], dict(max_draws=0)),
        (SEARCHERS['evolution'], dict(population=0, tournament=0, mutation=0, crossover=-0.1)),
        (SEARCHERS['evolution'], dict(mutation=1.1, ageing='x')),
        (SEARCHERS['nsga2'], dict(population=1, mutation=0, crossover=1.1)),
        (
            SEARCHERS['partition_tree'],
            dict(num_initial=1, refit_every=0, depth=0, exploration=-0.5, min_leaf=0),
        ),
    ],
)
def test_values_out_of_range_are_named(cls, wrong):
    for name, value in wrong.items():
        with pytest.raises(InputError, match=rf'^it\.{name}(\.0)?=.*: expected '):
            check_arguments(cls, {name: value}, 'it', complete=False)


@HOOKS.register_module()
class UsersHook(Hook):
    """Without annotations, and with an argument that is named like a place."""

    def __init__(self, every, model=None, **kwargs):
        pass


@HOOKS.register_module()
class UsersAnnotatedHook(Hook):
    def __init__(self, every: int, where: 'NotImported' = None, **kwargs) -> None:  # noqa: F821
        pass


@OPTIMIZERS.register_module()
class UsersSGD(SGD):
    def __init__(self, params, lr, warm=3):
        super().__init__(params, lr)


def test_what_users_wrote_passes(config):
    config.custom_hooks = [
        dict(type='UsersHook', every='x', model='anything', other=1),
        dict(type=UsersHook, every=None),
        dict(type='UsersAnnotatedHook', every='5'),  # its annotations cannot be read
    ]
    config.optim_wrapper.optimizer = dict(type='UsersSGD', lr=0.1, warm='x')
    config.model.extra = dict(type='of a meaning of its own')
    config.variable = dict(type='read by nothing', train_dataloader=3)
    check_settings(config)
    config.custom_hooks = [dict(type='UsersHook')]
    with pytest.raises(InputError, match='^custom_hooks.0.every: is missing, expected a value'):
        check_settings(config)


def test_several_optimisers_pass(config):
    """As mmengine's multi-optimiser constructors have them."""
    sgd = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    config.optim_wrapper = dict(constructor='Users', a=sgd, b=sgd)
    config.subnet_stage = None
    config.param_scheduler = dict(a=[dict(type='StepLR', step_size=1)], b=dict(type='ConstantLR'))
    check_settings(config)
    config.optim_wrapper.b.optimizer.lr = 'x'
    with pytest.raises(InputError, match="^optim_wrapper.b.optimizer.lr='x'"):
        check_settings(config)


def test_an_evaluator_with_metrics_passes(config):
    config.val_evaluator = dict(metrics=[dict(type='Accuracy')])
    check_settings(config)
    config.val_evaluator.metrics[0].type = 'Acuracy'
    with pytest.raises(InputError, match="^val_evaluator.metrics.0.type='Acuracy'"):
        check_settings(config)


def test_a_config_without_a_model_is_none():
    with pytest.raises(InputError, match='^config: model is missing, expected model=dict'):
        check_settings(Config())


@pytest.mark.parametrize(
    'launcher, variables',
    [
        ('pytorch', ['RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT']),
        ('slurm', ['SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST']),
        ('mpi', ['OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'MASTER_ADDR']),
    ],
)
def test_a_launcher_tells_its_ranks_by_the_environment(monkeypatch, launcher, variables):
    for name in (*variables, 'OMPI_COMM_WORLD_LOCAL_RANK'):
        monkeypatch.setenv(name, '0')
    check_launcher(launcher)
    monkeypatch.delenv(variables[0])
    with pytest.raises(InputError, match=f'^launcher={launcher}: no {variables[0]} in the env'):
        check_launcher(launcher)


def test_a_part_of_what_a_runner_needs_is_named(config):
    check_phases(config)
    config.val_cfg = None
    with pytest.raises(InputError, match='val_cfg is missing, expected it with val_datal'):
        check_phases(config)


def test_a_runner_is_built_of_what_fits(config):
    config.custom_hooks[0].seed = 'x'
    with pytest.raises(InputError, match="^custom_hooks.0.seed='x'"):
        build_runner(config)


class UsersOptions(NamedTuple):
    """It has no ``__init__``."""

    size: int
    ratio: float = 0.5


def takes_one_more(function):
    @functools.wraps(function)
    def taking(*args, other=None, **kwargs):
        return function(*args, **kwargs)

    return taking


@DATASETS.register_module()
class UsersData:
    """It uses some of ``**kwargs`` itself, and its arguments are named like places."""

    @takes_one_more
    def __init__(self, pipeline=None, datasets=None, data_source=None, **kwargs) -> None:
        self.mode = kwargs.pop('mode', None)
        super().__init__(**kwargs)


@HOOKS.register_module()
class UsersLooseHook(Hook):
    def __init__(
        self,
        interval=0.5,
        count: int = 1,
        rate: float = 1.0,
        folder: str = '',
        sizes: list[int] = (),
        flag: bool = False,
    ) -> None:
        pass


@METRICS.register_module()
class UsersAccuracy(Accuracy):
    def __init__(self, metric=None, metrics=None, **kwargs) -> None:
        self.mode = kwargs.pop('mode', None)
        super().__init__(**kwargs)


@OPTIMIZERS.register_module()
class UsersAdan(SGD):
    def __init__(self, params, lr=None, betas=(0.9, 0.9, 0.9), nesterov='x'):
        super().__init__(params, 0.1)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class UsersConstructor:
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None): ...


@pytest.mark.parametrize(
    'key, value',
    [
        ('train_dataloader.dataset', dict(type='UsersData', mode=1, other=2)),
        ('train_dataloader.dataset', dict(type='UsersData', data_source=dict(type='http'))),
        ('train_dataloader.dataset', dict(type='UsersData', pipeline=dict(train=[]))),
        ('train_dataloader.dataset', dict(type='UsersData', datasets=dict(a=0.5))),
        ('train_dataloader.dataset', dict(type=UsersOptions, size=3)),
        ('val_evaluator', [dict(type='UsersAccuracy', mode=1, metric=dict(name='a'))]),
        ('val_evaluator', [dict(type='UsersAccuracy', metrics=['a'])]),
        *(
            ('custom_hooks', [dict(type='UsersLooseHook', **{name: value})])
            for name, values in dict(
                interval=(0.5, 'epoch', None),
                count=(None, 2.0, np.int64(2)),
                rate=(None, 2, np.float32(2), float('inf')),
                folder=(None, Path('a')),
                sizes=((1, 2), np.array([1, 2])),
                flag=(1, np.bool_(True)),
            ).items()
            for value in values
        ),
        ('optim_wrapper.optimizer', dict(type='UsersAdan', lr=None)),
        ('optim_wrapper.optimizer', dict(type='UsersAdan', betas=(0.98, 0.92, 0.99), nesterov=2)),
        ('optim_wrapper', dict(constructor='UsersConstructor', base_lr=0.1, layers=12)),
        ('optim_wrapper', dict(constructor=UsersConstructor, a=dict(lr={'128': 0.1}))),
    ],
)
def test_what_users_classes_mean_otherwise_passes(config, key, value):
    config.subnet_stage = None
    config.merge_from_dict({key: value | dict(_delete_=True) if isinstance(value, dict) else value})
    check_settings(config)


def test_text_for_a_users_number_is_refused(config):
    config.custom_hooks = [dict(type='UsersLooseHook', count='3')]
    with pytest.raises(InputError, match="^custom_hooks.0.count='3': expected a whole number"):
        check_settings(config)
    config.custom_hooks = [dict(type='UsersLooseHook', folder=3)]
    with pytest.raises(InputError, match='^custom_hooks.0.folder=3: expected text'):
        check_settings(config)


@pytest.mark.parametrize(
    'change',
    [
        {'default_hooks.checkpoint.interval': 1e3},
        {'default_hooks.checkpoint.interval': np.int64(3)},
        {'train_cfg.max_epochs': np.int64(3), 'train_cfg.by_epoch': 1, 'train_cfg.val_begin': 1.0},
        {'optim_wrapper.clip_grad': dict(max_norm=float('inf'))},
        {'optim_wrapper.optimizer.momentum': 0.9, 'optim_wrapper.optimizer.nesterov': 1},
        {'param_scheduler': [dict(type='MultiStepLR', milestones=(60.0, 80), end=float('inf'))]},
        {'param_scheduler': [dict(type='MultiStepLR', milestones=np.array([60, 80]))]},
        {'auto_scale_lr': dict(base_batch_size=256.0, enable=0)},
        {'resume': None, 'randomness.seed': np.int64(3)},
        {'train_dataloader.batch_size': np.int64(4), 'train_dataloader.drop_last': 1},
        {'train_dataloader.dataset.indices': np.int64(4)},
    ],
)
def test_numbers_that_mmengine_takes_pass(config, change):
    config.merge_from_dict(change)
    check_settings(config)


def test_a_loader_that_is_built_passes(config):
    class Data(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise AssertionError('an image is read')

    config.train_dataloader = DataLoader(Data())
    check_settings(config)
