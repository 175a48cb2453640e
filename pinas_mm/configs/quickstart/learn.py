"""Do not edit. python tools/generate_configs.py wrote it from
configs/quickstart/learn.py
"""

model = {
    'type': 'pinas_mm.PiNAS',
    'backbone': {'type': 'pinas_mm.SearchableMacroNet', 'widen_factor': 0.25},
    'neck': {'type': 'NonLinearNeck', 'in_channels': 320, 'hid_channels': 320, 'out_channels': 128, 'norm_cfg': {'type': 'BN1d'}},
    'head': {'type': 'ContrastiveHead', 'loss': {'type': 'CrossEntropyLoss'}, 'temperature': 0.2},
    'queue_len': 256,
    'feat_dim': 128,
    'momentum': 0.97,
}
data_preprocessor = {'type': 'SelfSupDataPreprocessor', 'mean': [127.5, 127.5, 127.5], 'std': [127.5, 127.5, 127.5]}
pipeline = [{'type': 'PackInputs'}]
train_dataloader = {
    'batch_size': 64,
    'num_workers': 0,
    'drop_last': True,
    'sampler': {'type': 'DefaultSampler', 'shuffle': True},
    'dataset': {
        'type': 'pinas_mm.Digits',
        'split': 'learning',
        'pipeline': [
            {
                'type': 'MultiView',
                'num_views': [4],
                'transforms': [[{'type': 'RandomResizedCrop', 'scale': 32, 'crop_ratio_range': (0.6, 1.0)}]],
            },
            {'type': 'PackInputs'},
        ],
    },
    'collate_fn': {'type': 'default_collate'},
}
val_dataloader = None
test_dataloader = None
val_evaluator = None
test_evaluator = None
arch_evaluation = {
    'calibration_dataloader': {
        'batch_size': 64,
        'num_workers': 0,
        'drop_last': True,
        'sampler': {'type': 'DefaultSampler', 'shuffle': True},
        'dataset': {'type': 'pinas_mm.Digits', 'split': 'learning', 'pipeline': [{'type': 'PackInputs'}]},
    },
    'calibration_batches': 8,
}
default_scope = 'mmpretrain'
default_hooks = {
    'timer': {'type': 'IterTimerHook', '_scope_': 'mmpretrain'},
    'logger': {'type': 'LoggerHook', 'interval': 17, '_scope_': 'mmpretrain'},
    'param_scheduler': {'type': 'ParamSchedulerHook', '_scope_': 'mmpretrain'},
    'checkpoint': {'type': 'CheckpointHook', 'interval': 30, '_scope_': 'mmpretrain', 'max_keep_ckpts': 1},
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
view = [{'type': 'RandomResizedCrop', 'scale': 32, 'crop_ratio_range': (0.6, 1.0)}]
optim_wrapper = {'optimizer': {'type': 'SGD', 'lr': 0.12, 'momentum': 0.9, 'weight_decay': 0.0005}}
param_scheduler = [{'type': 'CosineAnnealingLR', 'T_max': 30, 'by_epoch': True}]
train_cfg = {'type': 'EpochBasedTrainLoop', 'max_epochs': 30}
custom_hooks = [
    {
        'type': 'pinas_mm.KNNHook',
        'bank_dataloader': {
            'batch_size': 64,
            'num_workers': 0,
            'drop_last': True,
            'sampler': {'type': 'DefaultSampler', 'shuffle': True},
            'dataset': {'type': 'pinas_mm.Digits', 'split': 'learning', 'pipeline': [{'type': 'PackInputs'}]},
            'collate_fn': {'type': 'default_collate'},
        },
        'query_dataloader': {
            'batch_size': 100,
            'num_workers': 0,
            'sampler': {'type': 'DefaultSampler', 'shuffle': False},
            'dataset': {'type': 'pinas_mm.Digits', 'split': 'held_out', 'pipeline': [{'type': 'PackInputs'}]},
            'collate_fn': {'type': 'default_collate'},
        },
        'interval': 10,
    }
]
val_cfg = None
test_cfg = None
auto_scale_lr = {'base_batch_size': 64}
