"""Do not edit. python tools/generate_configs.py wrote it from
configs/pinas/pinas_resnest50_8xb24-coslr-100e_in1k.py
"""

model = {
    'type': 'pinas_mm.PiNAS',
    'backbone': {'type': 'pinas_mm.SearchableResNeSt'},
    'neck': {'type': 'MoCoV2Neck', 'in_channels': 2048, 'hid_channels': 2048, 'out_channels': 128},
    'head': {'type': 'ContrastiveHead', 'loss': {'type': 'CrossEntropyLoss'}, 'temperature': 0.2},
    'queue_len': 49152,
    'feat_dim': 128,
    'momentum': 0.999,
}
dataset_type = 'ImageNet'
data_preprocessor = {'type': 'SelfSupDataPreprocessor', 'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375], 'to_rgb': True}
train_pipeline = [
    {'type': 'LoadImageFromFile', '_scope_': 'mmpretrain'},
    {'type': 'RandomResizedCrop', 'scale': 224, '_scope_': 'mmpretrain'},
    {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal', '_scope_': 'mmpretrain'},
    {'type': 'PackInputs', '_scope_': 'mmpretrain'},
]
test_pipeline = [
    {'type': 'LoadImageFromFile', '_scope_': 'mmpretrain'},
    {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short', '_scope_': 'mmpretrain'},
    {'type': 'CenterCrop', 'crop_size': 224, '_scope_': 'mmpretrain'},
    {'type': 'PackInputs', '_scope_': 'mmpretrain'},
]
train_dataloader = {
    'batch_size': 24,
    'num_workers': 8,
    'dataset': {
        'type': 'pinas_mm.SeededSplit',
        'part': 'learning',
        'held_out': 50000,
        'dataset': {
            'type': 'ImageNet',
            'data_root': 'data/imagenet',
            'split': 'train',
            'pipeline': [
                {'type': 'LoadImageFromFile'},
                {
                    'type': 'MultiView',
                    'num_views': [4],
                    'transforms': [
                        [
                            {'type': 'RandomResizedCrop', 'scale': 224, 'crop_ratio_range': (0.2, 1.0), 'backend': 'pillow'},
                            {
                                'type': 'RandomApply',
                                'transforms': [{'type': 'ColorJitter', 'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4, 'hue': 0.4}],
                                'prob': 0.8,
                            },
                            {'type': 'RandomGrayscale', 'prob': 0.2, 'keep_channels': True, 'channel_weights': (0.114, 0.587, 0.2989)},
                            {'type': 'GaussianBlur', 'magnitude_range': (0.1, 2.0), 'magnitude_std': 'inf', 'prob': 0.5},
                            {'type': 'RandomFlip', 'prob': 0.5},
                        ]
                    ],
                },
                {'type': 'PackInputs'},
            ],
            '_scope_': 'mmpretrain',
        },
    },
    'sampler': {'type': 'DefaultSampler', 'shuffle': True, '_scope_': 'mmpretrain'},
    'drop_last': True,
    'collate_fn': {'type': 'default_collate'},
}
val_dataloader = None
val_evaluator = None
test_dataloader = None
test_evaluator = None
whole_train_set = {
    'type': 'ImageNet',
    'data_root': 'data/imagenet',
    'split': 'train',
    'pipeline': [
        {'type': 'LoadImageFromFile'},
        {'type': 'RandomResizedCrop', 'scale': 224},
        {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal'},
        {'type': 'PackInputs'},
    ],
    '_scope_': 'mmpretrain',
}
learning_part = {
    'type': 'pinas_mm.SeededSplit',
    'part': 'learning',
    'held_out': 50000,
    'dataset': {
        'type': 'ImageNet',
        'data_root': 'data/imagenet',
        'split': 'train',
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'RandomResizedCrop', 'scale': 224},
            {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal'},
            {'type': 'PackInputs'},
        ],
        '_scope_': 'mmpretrain',
    },
}
held_out_dataloader = {
    'batch_size': 128,
    'num_workers': 5,
    'dataset': {
        'type': 'pinas_mm.SeededSplit',
        'part': 'held_out',
        'held_out': 50000,
        'dataset': {
            'type': 'ImageNet',
            'data_root': 'data/imagenet',
            'split': 'train',
            'pipeline': [
                {'type': 'LoadImageFromFile', '_scope_': 'mmpretrain'},
                {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short', '_scope_': 'mmpretrain'},
                {'type': 'CenterCrop', 'crop_size': 224, '_scope_': 'mmpretrain'},
                {'type': 'PackInputs', '_scope_': 'mmpretrain'},
            ],
            '_scope_': 'mmpretrain',
        },
    },
    'sampler': {'type': 'DefaultSampler', 'shuffle': False, '_scope_': 'mmpretrain'},
}
arch_evaluation = {
    'calibration_dataloader': {
        'batch_size': 128,
        'num_workers': 5,
        'dataset': {
            'type': 'pinas_mm.SeededSplit',
            'part': 'learning',
            'held_out': 50000,
            'dataset': {
                'type': 'ImageNet',
                'data_root': 'data/imagenet',
                'split': 'train',
                'pipeline': [
                    {'type': 'LoadImageFromFile'},
                    {'type': 'RandomResizedCrop', 'scale': 224},
                    {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal'},
                    {'type': 'PackInputs'},
                ],
                '_scope_': 'mmpretrain',
            },
        },
        'sampler': {'type': 'DefaultSampler', 'shuffle': True, '_scope_': 'mmpretrain'},
    },
    'calibration_batches': 49,
}
default_scope = 'mmpretrain'
default_hooks = {
    'timer': {'type': 'IterTimerHook', '_scope_': 'mmpretrain'},
    'logger': {'type': 'LoggerHook', 'interval': 100, '_scope_': 'mmpretrain'},
    'param_scheduler': {'type': 'ParamSchedulerHook', '_scope_': 'mmpretrain'},
    'checkpoint': {'type': 'CheckpointHook', 'interval': 1, '_scope_': 'mmpretrain', 'max_keep_ckpts': 3},
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
    {'type': 'RandomResizedCrop', 'scale': 224, 'crop_ratio_range': (0.2, 1.0), 'backend': 'pillow'},
    {
        'type': 'RandomApply',
        'transforms': [{'type': 'ColorJitter', 'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4, 'hue': 0.4}],
        'prob': 0.8,
    },
    {'type': 'RandomGrayscale', 'prob': 0.2, 'keep_channels': True, 'channel_weights': (0.114, 0.587, 0.2989)},
    {'type': 'GaussianBlur', 'magnitude_range': (0.1, 2.0), 'magnitude_std': 'inf', 'prob': 0.5},
    {'type': 'RandomFlip', 'prob': 0.5},
]
optim_wrapper = {
    'type': 'AmpOptimWrapper',
    'loss_scale': 'dynamic',
    'optimizer': {'type': 'SGD', 'lr': 0.03, 'momentum': 0.9, 'weight_decay': 0.0001},
}
param_scheduler = [{'type': 'CosineAnnealingLR', 'T_max': 100, 'by_epoch': True}]
train_cfg = {'type': 'EpochBasedTrainLoop', 'max_epochs': 100}
custom_hooks = [
    {
        'type': 'pinas_mm.KNNHook',
        'bank_dataloader': {
            'batch_size': 128,
            'num_workers': 5,
            'dataset': {
                'type': 'pinas_mm.SeededSplit',
                'part': 'learning',
                'held_out': 50000,
                'dataset': {
                    'type': 'ImageNet',
                    'data_root': 'data/imagenet',
                    'split': 'train',
                    'pipeline': [
                        {'type': 'LoadImageFromFile', '_scope_': 'mmpretrain'},
                        {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short', '_scope_': 'mmpretrain'},
                        {'type': 'CenterCrop', 'crop_size': 224, '_scope_': 'mmpretrain'},
                        {'type': 'PackInputs', '_scope_': 'mmpretrain'},
                    ],
                    '_scope_': 'mmpretrain',
                },
            },
            'sampler': {'type': 'DefaultSampler', 'shuffle': False, '_scope_': 'mmpretrain'},
            'collate_fn': {'type': 'default_collate'},
        },
        'query_dataloader': {
            'batch_size': 128,
            'num_workers': 5,
            'dataset': {
                'type': 'pinas_mm.SeededSplit',
                'part': 'held_out',
                'held_out': 50000,
                'dataset': {
                    'type': 'ImageNet',
                    'data_root': 'data/imagenet',
                    'split': 'train',
                    'pipeline': [
                        {'type': 'LoadImageFromFile', '_scope_': 'mmpretrain'},
                        {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short', '_scope_': 'mmpretrain'},
                        {'type': 'CenterCrop', 'crop_size': 224, '_scope_': 'mmpretrain'},
                        {'type': 'PackInputs', '_scope_': 'mmpretrain'},
                    ],
                    '_scope_': 'mmpretrain',
                },
            },
            'sampler': {'type': 'DefaultSampler', 'shuffle': False, '_scope_': 'mmpretrain'},
            'collate_fn': {'type': 'default_collate'},
        },
        'bank_samples': 50000,
        'interval': 10,
    }
]
val_cfg = None
test_cfg = None
auto_scale_lr = {'base_batch_size': 192}
