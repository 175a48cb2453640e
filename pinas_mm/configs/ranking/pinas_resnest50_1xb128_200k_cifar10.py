"""Do not edit. python tools/generate_configs.py wrote it from
configs/ranking/pinas_resnest50_1xb128-200k_cifar10.py
"""

from os import getenv

model = {
    'type': 'pinas_mm.PiNAS',
    'backbone': {'type': 'pinas_mm.SearchableResNeSt', 'widen_factor': 0.25, 'strides': (1, 2, 2, 1)},
    'neck': {'type': 'NonLinearNeck', 'in_channels': 512, 'hid_channels': 512, 'out_channels': 128, 'norm_cfg': {'type': 'BN1d'}},
    'head': {'type': 'ContrastiveHead', 'loss': {'type': 'CrossEntropyLoss'}, 'temperature': 0.2},
    'queue_len': 1024,
    'feat_dim': 128,
    'momentum': 0.97,
}
data_root = getenv('PINAS_DATA', 'data/cifar10/')
data_preprocessor = {'type': 'SelfSupDataPreprocessor', 'mean': [125.3, 123.0, 113.9], 'std': [63.0, 62.1, 66.7], 'to_rgb': True}
train_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'Resize', 'scale': 32},
    {'type': 'RandomCrop', 'crop_size': 32, 'padding': 4},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'PackInputs'},
]
test_pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'Resize', 'scale': 32}, {'type': 'PackInputs'}]
whole_train_set = {
    'type': 'CustomDataset',
    'data_root': getenv('PINAS_DATA', 'data/cifar10/') + 'train',
    'pipeline': [
        {'type': 'LoadImageFromFile'},
        {'type': 'Resize', 'scale': 32},
        {'type': 'RandomCrop', 'crop_size': 32, 'padding': 4},
        {'type': 'RandomFlip', 'prob': 0.5},
        {'type': 'PackInputs'},
    ],
}
train_dataloader = {
    'batch_size': 128,
    'num_workers': 2,
    'persistent_workers': True,
    'drop_last': True,
    'sampler': {'type': 'InfiniteSampler', 'shuffle': True},
    'dataset': {
        'type': 'pinas_mm.SeededSplit',
        'part': 'learning',
        'held_out': 2000,
        'dataset': {
            'type': 'CustomDataset',
            'data_root': getenv('PINAS_DATA', 'data/cifar10/') + 'train',
            'pipeline': [
                {'type': 'LoadImageFromFile'},
                {
                    'type': 'MultiView',
                    'num_views': [4],
                    'transforms': [
                        [
                            {'type': 'RandomResizedCrop', 'scale': 32, 'crop_ratio_range': (0.2, 1.0)},
                            {
                                'type': 'RandomApply',
                                'transforms': [{'type': 'ColorJitter', 'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4, 'hue': 0.1}],
                                'prob': 0.8,
                            },
                            {'type': 'RandomGrayscale', 'prob': 0.2, 'keep_channels': True},
                            {'type': 'RandomFlip', 'prob': 0.5},
                        ]
                    ],
                },
                {'type': 'PackInputs'},
            ],
        },
    },
    'collate_fn': {'type': 'default_collate'},
}
val_dataloader = None
test_dataloader = None
val_evaluator = None
test_evaluator = None
arch_evaluation = {
    'calibration_dataloader': {
        'batch_size': 128,
        'num_workers': 2,
        'persistent_workers': True,
        'drop_last': True,
        'sampler': {'type': 'DefaultSampler', 'shuffle': True},
        'dataset': {
            'type': 'pinas_mm.SeededSplit',
            'part': 'learning',
            'held_out': 2000,
            'dataset': {
                'type': 'CustomDataset',
                'data_root': getenv('PINAS_DATA', 'data/cifar10/') + 'train',
                'pipeline': [
                    {'type': 'LoadImageFromFile'},
                    {'type': 'Resize', 'scale': 32},
                    {'type': 'RandomCrop', 'crop_size': 32, 'padding': 4},
                    {'type': 'RandomFlip', 'prob': 0.5},
                    {'type': 'PackInputs'},
                ],
            },
        },
    },
    'calibration_batches': 8,
}
default_scope = 'mmpretrain'
default_hooks = {
    'timer': {'type': 'IterTimerHook', '_scope_': 'mmpretrain'},
    'logger': {'type': 'LoggerHook', 'interval': 100, '_scope_': 'mmpretrain'},
    'param_scheduler': {'type': 'ParamSchedulerHook', '_scope_': 'mmpretrain'},
    'checkpoint': {'type': 'CheckpointHook', 'interval': -1, '_scope_': 'mmpretrain', 'max_keep_ckpts': 2, 'by_epoch': False},
    'sampler_seed': {'type': 'DistSamplerSeedHook', '_scope_': 'mmpretrain'},
    'visualization': {'type': 'VisualizationHook', 'enable': False, '_scope_': 'mmpretrain'},
    'epoch_seed': {'type': 'pinas_mm.EpochSeedHook'},
}
env_cfg = {'cudnn_benchmark': False, 'mp_cfg': {'mp_start_method': 'fork', 'opencv_num_threads': 0}, 'dist_cfg': {'backend': 'nccl'}}
vis_backends = [{'type': 'LocalVisBackend', '_scope_': 'mmpretrain'}]
visualizer = {'type': 'UniversalVisualizer', 'vis_backends': [{'type': 'LocalVisBackend'}], '_scope_': 'mmpretrain'}
log_level = 'INFO'
load_from = None
resume = False
randomness = {'seed': 0, 'deterministic': False}
custom_imports = {'imports': ['pinas_mm']}
model_wrapper_cfg = {'type': 'pinas_mm.ActiveGradientDataParallel'}
view = [
    {'type': 'RandomResizedCrop', 'scale': 32, 'crop_ratio_range': (0.2, 1.0)},
    {
        'type': 'RandomApply',
        'transforms': [{'type': 'ColorJitter', 'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4, 'hue': 0.1}],
        'prob': 0.8,
    },
    {'type': 'RandomGrayscale', 'prob': 0.2, 'keep_channels': True},
    {'type': 'RandomFlip', 'prob': 0.5},
]
optim_wrapper = {'optimizer': {'type': 'SGD', 'lr': 0.12, 'momentum': 0.9, 'weight_decay': 0.0005}}
param_scheduler = [{'type': 'CosineAnnealingLR', 'T_max': 527, 'by_epoch': False}]
train_cfg = {'type': 'IterBasedTrainLoop', 'max_iters': 527, 'val_interval': 1000000000}
custom_hooks = []
val_cfg = None
test_cfg = None
auto_scale_lr = {'base_batch_size': 128}
iterations = 527
