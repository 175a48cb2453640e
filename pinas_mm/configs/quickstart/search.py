"""Do not edit. python tools/generate_configs.py wrote it from
configs/quickstart/search.py
"""

model = {
    'type': 'ImageClassifier',
    'backbone': {
        'type': 'pinas_mm.SearchableMacroNet',
        'widen_factor': 0.25,
        'frozen_stages': 4,
        'frozen_norm_eval': False,
        'init_cfg': {'type': 'Pretrained', 'checkpoint': 'set model.backbone.init_cfg.checkpoint', 'prefix': 'backbone.'},
    },
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
custom_hooks = [{'type': 'pinas_mm.ArchSamplingHook'}]
data_preprocessor = {'num_classes': 10, 'mean': [127.5, 127.5, 127.5], 'std': [127.5, 127.5, 127.5], 'to_rgb': False}
pipeline = [{'type': 'PackInputs'}]
train_dataloader = {
    'batch_size': 64,
    'num_workers': 0,
    'drop_last': True,
    'sampler': {'type': 'DefaultSampler', 'shuffle': True},
    'dataset': {'type': 'pinas_mm.Digits', 'split': 'learning', 'pipeline': [{'type': 'PackInputs'}]},
}
val_dataloader = {
    'batch_size': 100,
    'num_workers': 0,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {'type': 'pinas_mm.Digits', 'split': 'held_out', 'pipeline': [{'type': 'PackInputs'}]},
}
test_dataloader = {
    'batch_size': 100,
    'num_workers': 0,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {'type': 'pinas_mm.Digits', 'split': 'held_out', 'pipeline': [{'type': 'PackInputs'}]},
}
val_evaluator = {'type': 'Accuracy', 'topk': (1,)}
test_evaluator = {'type': 'Accuracy', 'topk': (1,)}
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
    'checkpoint': {'type': 'CheckpointHook', 'interval': 10, '_scope_': 'mmpretrain', 'max_keep_ckpts': 1},
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
optim_wrapper = {'optimizer': {'type': 'Adam', 'lr': 0.01}}
param_scheduler = [{'type': 'CosineAnnealingLR', 'T_max': 10, 'by_epoch': True}]
train_cfg = {'type': 'EpochBasedTrainLoop', 'max_epochs': 10, 'val_interval': 5}
val_cfg = {
    'type': 'pinas_mm.ArchValLoop',
    'calibration_dataloader': {
        'batch_size': 64,
        'num_workers': 0,
        'drop_last': True,
        'sampler': {'type': 'DefaultSampler', 'shuffle': True},
        'dataset': {'type': 'pinas_mm.Digits', 'split': 'learning', 'pipeline': [{'type': 'PackInputs'}]},
    },
    'calibration_batches': 8,
}
test_cfg = {
    'type': 'pinas_mm.SearchLoop',
    'searcher': {'type': 'partition_tree', 'num_initial': 32},
    'num_archs': 96,
    'score_samples': 200,
    'constraints': {'macs': 4000000.0},
    'input_size': 32,
    'calibration_dataloader': {
        'batch_size': 64,
        'num_workers': 0,
        'drop_last': True,
        'sampler': {'type': 'DefaultSampler', 'shuffle': True},
        'dataset': {'type': 'pinas_mm.Digits', 'split': 'learning', 'pipeline': [{'type': 'PackInputs'}]},
    },
    'calibration_batches': 8,
}
auto_scale_lr = {'base_batch_size': 64}
