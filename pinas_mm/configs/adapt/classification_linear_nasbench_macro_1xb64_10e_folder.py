"""Do not edit. python tools/generate_configs.py wrote it from
configs/adapt/classification-linear_nasbench-macro_1xb64-10e_folder.py
"""

from os import getenv

model = {
    'type': 'ImageClassifier',
    'backbone': {'type': 'pinas_mm.SearchableMacroNet', 'widen_factor': 0.25},
    'neck': [{'type': 'GlobalAveragePooling'}, {'type': 'ClsBatchNormNeck', 'input_features': 320, 'affine': False}],
    'head': {
        'type': 'LinearClsHead',
        'num_classes': 10,
        'in_channels': 320,
        'loss': {'type': 'CrossEntropyLoss'},
        'topk': (1,),
        'cal_acc': True,
    },
}
custom_hooks = []
data_root = getenv('PINAS_DATA', 'data/cifar10/')
data_preprocessor = {'num_classes': 10, 'mean': [125.3, 123.0, 113.9], 'std': [63.0, 62.1, 66.7], 'to_rgb': True}
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
    'batch_size': 64,
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
}
val_dataloader = {
    'batch_size': 250,
    'num_workers': 2,
    'persistent_workers': True,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'pinas_mm.SeededSplit',
        'part': 'held_out',
        'held_out': 2000,
        'dataset': {
            'type': 'CustomDataset',
            'data_root': getenv('PINAS_DATA', 'data/cifar10/') + 'train',
            'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'Resize', 'scale': 32}, {'type': 'PackInputs'}],
        },
    },
}
test_dataloader = {
    'batch_size': 250,
    'num_workers': 2,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'CustomDataset',
        'data_root': getenv('PINAS_DATA', 'data/cifar10/') + 'test',
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'Resize', 'scale': 32}, {'type': 'PackInputs'}],
    },
}
val_evaluator = [{'type': 'Accuracy', 'topk': (1,)}, {'type': 'pinas_mm.LabelLikelihood'}]
test_evaluator = {'type': 'Accuracy', 'topk': (1,)}
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
    'checkpoint': {'type': 'CheckpointHook', 'interval': 1, '_scope_': 'mmpretrain', 'max_keep_ckpts': 1},
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
supernet_stage = {
    'model': {'backbone': {'norm_eval': False, 'frozen_norm_eval': False, 'frozen_stages': 4}},
    'model_wrapper_cfg': {'type': 'pinas_mm.ActiveGradientDataParallel'},
    'custom_hooks': [{'type': 'pinas_mm.ArchSamplingHook', 'probabilities': [0.1, 0.45, 0.45]}],
    'optim_wrapper': {'optimizer': {'_delete_': True, 'type': 'Adam', 'lr': 0.01}},
}
search_loop = {
    'type': 'pinas_mm.SearchLoop',
    'searcher': {'type': 'partition_tree'},
    'num_archs': 100,
    'calibration_batches': 8,
    'input_size': 32,
    'score': 'score/neg_loss',
    'score_samples': 500,
}
subnet_stage = {}
optim_wrapper = {'optimizer': {'type': 'SGD', 'lr': 0.05, 'momentum': 0.9, 'weight_decay': 0.0005, 'nesterov': True}}
param_scheduler = [{'type': 'CosineAnnealingLR', 'T_max': 10, 'by_epoch': True, 'convert_to_iter_based': True}]
train_cfg = {'by_epoch': True, 'max_epochs': 10}
val_cfg = {}
test_cfg = {}
auto_scale_lr = {'base_batch_size': 64}
