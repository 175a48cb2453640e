"""Do not edit. python tools/generate_configs.py wrote it from
configs/adapt/reid_resnest50_1xb64-22k_dukemtmc.py
"""

model = {
    'type': 'BaseReID',
    'data_preprocessor': {
        'type': 'ReIDDataPreprocessor',
        'mean': [123.675, 116.28, 103.53],
        'std': [58.395, 57.12, 57.375],
        'to_rgb': True,
    },
    'backbone': {'type': 'pinas_mm.SearchableResNeSt', 'strides': (1, 2, 2, 1)},
    'neck': {'type': 'GlobalAveragePooling'},
    'head': {
        'type': 'LinearReIDHead',
        'num_fcs': 0,
        'in_channels': 2048,
        'fc_channels': 512,
        'out_channels': 512,
        'num_classes': 602,
        'loss_cls': {'type': 'mmpretrain.LabelSmoothLoss', 'label_smooth_val': 0.1, 'mode': 'original'},
        'loss_triplet': {'type': 'TripletLoss', 'margin': 0.3},
    },
}
resize = {'type': 'Resize', 'scale': (128, 256), 'keep_ratio': False}
train_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'Resize', 'scale': (128, 256), 'keep_ratio': False},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'mmpretrain.RandomCrop', 'crop_size': (256, 128), 'padding': 10},
    {'type': 'mmpretrain.RandomErasing', 'erase_prob': 0.5, 'fill_color': (103.53, 116.28, 123.675)},
    {'type': 'pinas_mm.PackReIDImage'},
]
test_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'Resize', 'scale': (128, 256), 'keep_ratio': False},
    {'type': 'pinas_mm.PackReIDImage'},
]
learning_set = {'type': 'pinas_mm.PersonReID', 'data_root': 'data/market1501/', 'held_out': 100}
train_dataloader = {
    'batch_size': 64,
    'num_workers': 4,
    'persistent_workers': True,
    'drop_last': True,
    'sampler': {'type': 'pinas_mm.IdentitySampler', 'images_per_person': 4},
    'dataset': {
        'type': 'pinas_mm.PersonReID',
        'data_root': 'data/dukemtmc-reid/',
        'held_out': 100,
        'split': 'train',
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'Resize', 'scale': (128, 256), 'keep_ratio': False},
            {'type': 'RandomFlip', 'prob': 0.5},
            {'type': 'mmpretrain.RandomCrop', 'crop_size': (256, 128), 'padding': 10},
            {'type': 'mmpretrain.RandomErasing', 'erase_prob': 0.5, 'fill_color': (103.53, 116.28, 123.675)},
            {'type': 'pinas_mm.PackReIDImage'},
        ],
    },
}
val_dataloader = {
    'batch_size': 128,
    'num_workers': 4,
    'persistent_workers': True,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'pinas_mm.PersonReID',
        'data_root': 'data/dukemtmc-reid/',
        'held_out': 100,
        'split': 'held_out',
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'Resize', 'scale': (128, 256), 'keep_ratio': False},
            {'type': 'pinas_mm.PackReIDImage'},
        ],
    },
}
test_dataloader = {
    'batch_size': 128,
    'num_workers': 4,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'pinas_mm.PersonReID',
        'data_root': 'data/dukemtmc-reid/',
        'split': 'test',
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'Resize', 'scale': (128, 256), 'keep_ratio': False},
            {'type': 'pinas_mm.PackReIDImage'},
        ],
    },
}
val_evaluator = {'type': 'pinas_mm.ReIDMetric'}
test_evaluator = {'type': 'pinas_mm.ReIDMetric'}
epoch = 185
optim_wrapper = {'optimizer': {'type': 'Adam', 'lr': 0.00035, 'weight_decay': 0.0005}}
param_scheduler = [
    {'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'begin': 0, 'end': 1850},
    {'type': 'MultiStepLR', 'milestones': [7400, 12950], 'gamma': 0.1, 'by_epoch': False},
]
train_cfg = {'by_epoch': False, 'max_iters': 22200, 'val_interval': 1850}
val_cfg = {}
test_cfg = {}
log_processor = {'by_epoch': False}
auto_scale_lr = {'base_batch_size': 64}
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
    'input_size': (256, 128),
    'score': 'reid/mAP',
}
subnet_stage = {}
default_scope = 'mmdet'
default_hooks = {
    'timer': {'type': 'IterTimerHook', '_scope_': 'mmpretrain'},
    'logger': {'type': 'LoggerHook', 'interval': 100, '_scope_': 'mmpretrain'},
    'param_scheduler': {'type': 'ParamSchedulerHook', '_scope_': 'mmpretrain'},
    'checkpoint': {'type': 'CheckpointHook', 'interval': 1850, '_scope_': 'mmpretrain', 'by_epoch': False, 'max_keep_ckpts': 1},
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
duke = {'dataset': {'data_root': 'data/dukemtmc-reid/'}}
