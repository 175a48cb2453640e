"""Do not edit. python tools/generate_configs.py wrote it from
configs/dsnas/dsnas_shufflenetv2_8xb128-coslr-240e_in1k.py
"""

model = {
    'type': 'ImageClassifier',
    'backbone': {
        'type': 'pinas_mm.SearchableShuffleNetV2',
        'norm_cfg': {'type': 'BN', 'eps': 0.01},
        'init_cfg': [{'type': 'Kaiming', 'layer': 'Conv2d', 'mode': 'fan_in', 'nonlinearity': 'relu'}],
    },
    'neck': {'type': 'GlobalAveragePooling'},
    'head': {
        'type': 'pinas_mm.DropoutLinearClsHead',
        'num_classes': 1000,
        'in_channels': 1024,
        'loss': {'type': 'LabelSmoothLoss', 'label_smooth_val': 0.1, 'mode': 'original'},
        'topk': (1, 5),
        'cal_acc': True,
    },
}
custom_hooks = [{'type': 'pinas_mm.DSNASHook', 'search': 80, 'warm_up': 15}]
dataset_type = 'ImageNet'
data_preprocessor = {'num_classes': 1000, 'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375], 'to_rgb': True}
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
    'batch_size': 128,
    'num_workers': 8,
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
    'sampler': {'type': 'DefaultSampler', 'shuffle': True, '_scope_': 'mmpretrain'},
    'drop_last': True,
}
val_dataloader = {
    'batch_size': 32,
    'num_workers': 5,
    'dataset': {
        'type': 'ImageNet',
        'data_root': 'data/imagenet',
        'split': 'val',
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short'},
            {'type': 'CenterCrop', 'crop_size': 224},
            {'type': 'PackInputs'},
        ],
        '_scope_': 'mmpretrain',
    },
    'sampler': {'type': 'DefaultSampler', 'shuffle': False, '_scope_': 'mmpretrain'},
}
val_evaluator = {'type': 'Accuracy', 'topk': (1, 5), '_scope_': 'mmpretrain'}
test_dataloader = {
    'batch_size': 32,
    'num_workers': 5,
    'dataset': {
        'type': 'ImageNet',
        'data_root': 'data/imagenet',
        'split': 'val',
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short'},
            {'type': 'CenterCrop', 'crop_size': 224},
            {'type': 'PackInputs'},
        ],
        '_scope_': 'mmpretrain',
    },
    'sampler': {'type': 'DefaultSampler', 'shuffle': False, '_scope_': 'mmpretrain'},
}
test_evaluator = {'type': 'Accuracy', 'topk': (1, 5), '_scope_': 'mmpretrain'}
optim_wrapper = {
    'optimizer': {'type': 'SGD', 'lr': 0.5, 'momentum': 0.9, 'weight_decay': 4e-05, '_scope_': 'mmpretrain'},
    'paramwise_cfg': {'norm_decay_mult': 0},
    'type': 'pinas_mm.DSNASOptimWrapper',
    'macs_limit': 290000000.0,
    'input_size': 224,
}
param_scheduler = [{'type': 'CosineAnnealingLR', 'T_max': 240, 'by_epoch': True, 'convert_to_iter_based': True}]
train_cfg = {'by_epoch': True, 'max_epochs': 240, 'val_interval': 1, 'val_begin': 81}
val_cfg = {}
test_cfg = {}
auto_scale_lr = {'base_batch_size': 1024}
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
second_stage = {'model': {'head': {'dropout': 0.0}}}
