"""Do not edit. python tools/generate_configs.py wrote it from
configs/adapt/classification_resnest50_8xb8-100e_cars.py
"""

model = {
    'type': 'ImageClassifier',
    'backbone': {
        'type': 'pinas_mm.SearchableResNeSt',
        'frozen_stages': -1,
        'frozen_norm_eval': False,
        'init_cfg': {'type': 'Pretrained', 'checkpoint': 'set model.backbone.init_cfg.checkpoint', 'prefix': 'backbone.'},
    },
    'neck': {'type': 'GlobalAveragePooling'},
    'head': {
        'type': 'LinearClsHead',
        'num_classes': 196,
        'in_channels': 2048,
        'loss': {'type': 'CrossEntropyLoss'},
        'topk': (1,),
        'cal_acc': True,
    },
}
custom_hooks = []
dataset_type = 'CUB'
data_preprocessor = {'num_classes': 196, 'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375], 'to_rgb': True}
train_pipeline = [
    {'type': 'LoadImageFromFile', '_scope_': 'mmpretrain'},
    {'type': 'Resize', 'scale': 510, '_scope_': 'mmpretrain'},
    {'type': 'RandomCrop', 'crop_size': 384, '_scope_': 'mmpretrain'},
    {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal', '_scope_': 'mmpretrain'},
    {'type': 'PackInputs', '_scope_': 'mmpretrain'},
]
test_pipeline = [
    {'type': 'LoadImageFromFile', '_scope_': 'mmpretrain'},
    {'type': 'Resize', 'scale': 510, '_scope_': 'mmpretrain'},
    {'type': 'CenterCrop', 'crop_size': 384, '_scope_': 'mmpretrain'},
    {'type': 'PackInputs', '_scope_': 'mmpretrain'},
]
train_dataloader = {
    'batch_size': 8,
    'num_workers': 2,
    'dataset': {
        'part': 'learning',
        'dataset': {
            'type': 'StanfordCars',
            'data_root': 'data/Stanford_Cars',
            'split': 'train',
            'pipeline': [
                {'type': 'LoadImageFromFile'},
                {'type': 'Resize', 'scale': 510},
                {'type': 'RandomCrop', 'crop_size': 384},
                {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal'},
                {'type': 'PackInputs'},
            ],
            '_scope_': 'mmpretrain',
        },
        'type': 'pinas_mm.SeededSplit',
        'held_out': 800,
    },
    'sampler': {'type': 'DefaultSampler', 'shuffle': True, '_scope_': 'mmpretrain'},
}
val_dataloader = {
    'batch_size': 8,
    'num_workers': 2,
    'dataset': {
        'part': 'held_out',
        'dataset': {
            'type': 'StanfordCars',
            'data_root': 'data/Stanford_Cars',
            'split': 'train',
            'pipeline': [
                {'type': 'LoadImageFromFile', '_scope_': 'mmpretrain'},
                {'type': 'Resize', 'scale': 510, '_scope_': 'mmpretrain'},
                {'type': 'CenterCrop', 'crop_size': 384, '_scope_': 'mmpretrain'},
                {'type': 'PackInputs', '_scope_': 'mmpretrain'},
            ],
            '_scope_': 'mmpretrain',
        },
        'type': 'pinas_mm.SeededSplit',
        'held_out': 800,
    },
    'sampler': {'type': 'DefaultSampler', 'shuffle': False, '_scope_': 'mmpretrain'},
}
val_evaluator = {'type': 'Accuracy', 'topk': (1,), '_scope_': 'mmpretrain'}
test_dataloader = {
    'batch_size': 8,
    'num_workers': 2,
    'dataset': {
        'type': 'StanfordCars',
        'data_root': 'data/Stanford_Cars',
        'split': 'test',
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'Resize', 'scale': 510},
            {'type': 'CenterCrop', 'crop_size': 384},
            {'type': 'PackInputs'},
        ],
        '_scope_': 'mmpretrain',
    },
    'sampler': {'type': 'DefaultSampler', 'shuffle': False, '_scope_': 'mmpretrain'},
}
test_evaluator = {'type': 'Accuracy', 'topk': (1,), '_scope_': 'mmpretrain'}
optim_wrapper = {
    'optimizer': {'type': 'SGD', 'lr': 0.01, 'momentum': 0.9, 'weight_decay': 0.0005, 'nesterov': True, '_scope_': 'mmpretrain'}
}
param_scheduler = [
    {
        'type': 'LinearLR',
        'start_factor': 0.01,
        'by_epoch': True,
        'begin': 0,
        'end': 5,
        'convert_to_iter_based': True,
        '_scope_': 'mmpretrain',
    },
    {'type': 'CosineAnnealingLR', 'T_max': 95, 'by_epoch': True, 'begin': 5, 'end': 100, '_scope_': 'mmpretrain'},
]
train_cfg = {'by_epoch': True, 'max_epochs': 100, 'val_interval': 1}
val_cfg = {}
test_cfg = {}
auto_scale_lr = {'base_batch_size': 64}
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
    'model': {'backbone': {'norm_eval': False, 'frozen_norm_eval': False}},
    'model_wrapper_cfg': {'type': 'pinas_mm.ActiveGradientDataParallel'},
    'custom_hooks': [{'type': 'pinas_mm.ArchSamplingHook'}],
}
search_loop = {
    'type': 'pinas_mm.SearchLoop',
    'searcher': {'type': 'partition_tree'},
    'num_archs': 1000,
    'calibration_batches': 49,
    'input_size': 384,
}
subnet_stage = {}
split = {'type': 'pinas_mm.SeededSplit', 'held_out': 600}
train_set = {
    'type': 'CUB',
    'data_root': 'data/CUB_200_2011',
    'split': 'train',
    'pipeline': [
        {'type': 'LoadImageFromFile'},
        {'type': 'Resize', 'scale': 510},
        {'type': 'RandomCrop', 'crop_size': 384},
        {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal'},
        {'type': 'PackInputs'},
    ],
    '_scope_': 'mmpretrain',
}
cars = {'type': 'StanfordCars', 'data_root': 'data/Stanford_Cars'}
