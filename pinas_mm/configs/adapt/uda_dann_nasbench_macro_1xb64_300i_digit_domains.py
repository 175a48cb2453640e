"""Do not edit. python tools/generate_configs.py wrote it from
configs/adapt/uda-dann_nasbench-macro_1xb64-300i_digit-domains.py
"""

from os import getenv

model = {
    'type': 'pinas_mm.DomainAdaptiveClassifier',
    'backbone': {'type': 'pinas_mm.SearchableMacroNet', 'widen_factor': 0.25},
    'neck': {'type': 'GlobalAveragePooling'},
    'head': {
        'type': 'LinearClsHead',
        'num_classes': 10,
        'in_channels': 320,
        'loss': {'type': 'CrossEntropyLoss'},
        'topk': (1,),
        'cal_acc': True,
    },
    'alignment': {'type': 'pinas_mm.DANN'},
}
custom_hooks = []
data_root = getenv('PINAS_DATA', 'data/adapt/domains/')
data_preprocessor = {'num_classes': 10, 'mean': [127.5, 127.5, 127.5], 'std': [127.5, 127.5, 127.5], 'to_rgb': True}
train_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'Resize', 'scale': (256, 256)},
    {'type': 'RandomResizedCrop', 'scale': 224},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'PackInputs'},
]
test_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'Resize', 'scale': (256, 256)},
    {'type': 'CenterCrop', 'crop_size': 224},
    {'type': 'PackInputs'},
]
source = {
    'type': 'CustomDataset',
    'data_root': getenv('PINAS_DATA', 'data/adapt/domains/') + 'grey',
    'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}],
}
whole_target = {
    'type': 'CustomDataset',
    'data_root': getenv('PINAS_DATA', 'data/adapt/domains/') + 'noisy',
    'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}],
}
target = {
    'type': 'pinas_mm.SeededSplit',
    'part': 'learning',
    'held_out': 219,
    'dataset': {
        'type': 'CustomDataset',
        'data_root': getenv('PINAS_DATA', 'data/adapt/domains/') + 'noisy',
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}],
    },
}
train_dataloader = {
    'batch_size': 64,
    'num_workers': 2,
    'persistent_workers': True,
    'drop_last': True,
    'sampler': {'type': 'pinas_mm.DomainSampler'},
    'dataset': {
        'type': 'pinas_mm.DomainPair',
        'source': {
            'type': 'CustomDataset',
            'data_root': getenv('PINAS_DATA', 'data/adapt/domains/') + 'grey',
            'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}],
        },
        'target': {
            'type': 'pinas_mm.SeededSplit',
            'part': 'learning',
            'held_out': 219,
            'dataset': {
                'type': 'CustomDataset',
                'data_root': getenv('PINAS_DATA', 'data/adapt/domains/') + 'noisy',
                'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}],
            },
        },
    },
}
val_dataloader = {
    'batch_size': 128,
    'num_workers': 2,
    'persistent_workers': True,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'CustomDataset',
        'data_root': getenv('PINAS_DATA', 'data/adapt/domains/') + 'grey_held_out',
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}],
    },
}
val_evaluator = {'type': 'Accuracy', 'topk': (1,)}
test_dataloader = {
    'batch_size': 128,
    'num_workers': 2,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'CustomDataset',
        'data_root': getenv('PINAS_DATA', 'data/adapt/domains/') + 'noisy_test',
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}],
    },
}
test_evaluator = {'type': 'Accuracy', 'topk': (1,)}
arch_evaluation = {
    'calibration_dataloader': {
        'batch_size': 64,
        'num_workers': 2,
        'persistent_workers': True,
        'drop_last': True,
        'sampler': {'type': 'DefaultSampler', 'shuffle': True},
        'dataset': {
            'type': 'CustomDataset',
            'data_root': getenv('PINAS_DATA', 'data/adapt/domains/') + 'grey',
            'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}],
        },
    },
    'calibration_batches': 4,
}
pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}]
optim_wrapper = {'optimizer': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9, 'nesterov': True, 'weight_decay': 0.0005}, 'paramwise_cfg': None}
param_scheduler = [{'type': 'CosineAnnealingLR', 'T_max': 300, 'by_epoch': False}]
train_cfg = {'type': 'IterBasedTrainLoop', 'max_iters': 300, 'val_interval': 300}
val_cfg = {}
test_cfg = {}
auto_scale_lr = {'base_batch_size': 64}
supernet_stage = {
    'model': {'backbone': {'norm_eval': False, 'frozen_norm_eval': False}},
    'model_wrapper_cfg': {'type': 'pinas_mm.ActiveGradientDataParallel'},
    'custom_hooks': [{'type': 'pinas_mm.ArchSamplingHook', 'probabilities': [0.1, 0.45, 0.45]}],
}
search_loop = {
    'type': 'pinas_mm.SearchLoop',
    'searcher': {'type': 'partition_tree'},
    'num_archs': 60,
    'calibration_batches': 4,
    'input_size': 32,
    'calibration_dataloader': {
        'batch_size': 64,
        'num_workers': 2,
        'persistent_workers': True,
        'drop_last': True,
        'sampler': {'type': 'DefaultSampler', 'shuffle': True},
        'dataset': {
            'type': 'CustomDataset',
            'data_root': getenv('PINAS_DATA', 'data/adapt/domains/') + 'grey',
            'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}],
        },
    },
}
subnet_stage = {}
default_scope = 'mmpretrain'
default_hooks = {
    'timer': {'type': 'IterTimerHook', '_scope_': 'mmpretrain'},
    'logger': {'type': 'LoggerHook', 'interval': 100, '_scope_': 'mmpretrain'},
    'param_scheduler': {'type': 'ParamSchedulerHook', '_scope_': 'mmpretrain'},
    'checkpoint': {'type': 'CheckpointHook', 'interval': 100, '_scope_': 'mmpretrain', 'by_epoch': False, 'max_keep_ckpts': 1},
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
log_processor = {'by_epoch': False}
