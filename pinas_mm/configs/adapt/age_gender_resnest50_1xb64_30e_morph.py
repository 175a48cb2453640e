"""Do not edit. python tools/generate_configs.py wrote it from
configs/adapt/age-gender_resnest50_1xb64-30e_morph.py
"""

from os import getenv

model = {
    'type': 'ImageClassifier',
    'backbone': {'type': 'pinas_mm.SearchableResNeSt'},
    'neck': {'type': 'GlobalAveragePooling'},
    'head': {
        'type': 'MultiTaskHead',
        'in_channels': 2048,
        'task_heads': {
            'age': {'type': 'pinas_mm.ExpectedAgeHead', 'ages': (16, 70)},
            'gender': {'type': 'LinearClsHead', 'num_classes': 2},
        },
    },
}
val_evaluator = [
    {'type': 'pinas_mm.TaskMetric', 'task': 'age', 'metric': {'type': 'pinas_mm.AgeMetric'}},
    {'type': 'pinas_mm.TaskMetric', 'task': 'gender', 'metric': {'type': 'Accuracy', 'prefix': 'gender'}},
    {'type': 'pinas_mm.TaskMetric', 'task': 'gender', 'metric': {'type': 'SingleLabelMetric', 'items': ('recall',), 'prefix': 'gender'}},
]
test_evaluator = [
    {'type': 'pinas_mm.TaskMetric', 'task': 'age', 'metric': {'type': 'pinas_mm.AgeMetric'}},
    {'type': 'pinas_mm.TaskMetric', 'task': 'gender', 'metric': {'type': 'Accuracy', 'prefix': 'gender'}},
    {'type': 'pinas_mm.TaskMetric', 'task': 'gender', 'metric': {'type': 'SingleLabelMetric', 'items': ('recall',), 'prefix': 'gender'}},
]
data_preprocessor = {'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375], 'to_rgb': True}
train_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short'},
    {'type': 'RandomCrop', 'crop_size': 224},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'PackInputs'},
]
test_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short'},
    {'type': 'CenterCrop', 'crop_size': 224},
    {'type': 'PackInputs'},
]
pack_tasks = {'type': 'PackMultiTaskInputs', 'multi_task_fields': ['gt_label']}
train_dataloader = {
    'batch_size': 64,
    'num_workers': 4,
    'persistent_workers': True,
    'drop_last': True,
    'sampler': {'type': 'DefaultSampler', 'shuffle': True},
    'dataset': {
        'part': 'learning',
        'dataset': {
            'type': 'pinas_mm.AgeGenderList',
            'tasks': ['age', 'gender'],
            'ages': (16, 70),
            'data_root': getenv('PINAS_DATA', 'data/morph2/'),
            'data_prefix': 'images',
            'columns': {'image': '', 'age': 'age', 'gender': 'Male'},
            'genders': {'male': ['1'], 'female': ['-1']},
            'age_offset': 16,
            'ann_file': 'morph2_train.csv',
            'pipeline': [
                {'type': 'LoadImageFromFile'},
                {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short'},
                {'type': 'RandomCrop', 'crop_size': 224},
                {'type': 'RandomFlip', 'prob': 0.5},
                {'type': 'PackMultiTaskInputs', 'multi_task_fields': ['gt_label']},
            ],
        },
        'type': 'pinas_mm.SeededSplit',
        'held_out': 4400,
        'group': '^(\\d+)_',
    },
}
val_dataloader = {
    'batch_size': 128,
    'num_workers': 4,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'part': 'held_out',
        'dataset': {
            'type': 'pinas_mm.AgeGenderList',
            'tasks': ['age', 'gender'],
            'ages': (16, 70),
            'data_root': getenv('PINAS_DATA', 'data/morph2/'),
            'data_prefix': 'images',
            'columns': {'image': '', 'age': 'age', 'gender': 'Male'},
            'genders': {'male': ['1'], 'female': ['-1']},
            'age_offset': 16,
            'ann_file': 'morph2_train.csv',
            'pipeline': [
                {'type': 'LoadImageFromFile'},
                {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short'},
                {'type': 'CenterCrop', 'crop_size': 224},
                {'type': 'PackMultiTaskInputs', 'multi_task_fields': ['gt_label']},
            ],
        },
        'type': 'pinas_mm.SeededSplit',
        'held_out': 4400,
        'group': '^(\\d+)_',
    },
}
test_dataloader = {
    'batch_size': 128,
    'num_workers': 4,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'pinas_mm.AgeGenderList',
        'tasks': ['age', 'gender'],
        'ages': (16, 70),
        'data_root': getenv('PINAS_DATA', 'data/morph2/'),
        'data_prefix': 'images',
        'columns': {'image': '', 'age': 'age', 'gender': 'Male'},
        'genders': {'male': ['1'], 'female': ['-1']},
        'age_offset': 16,
        'ann_file': 'morph2_test.csv',
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short'},
            {'type': 'CenterCrop', 'crop_size': 224},
            {'type': 'PackMultiTaskInputs', 'multi_task_fields': ['gt_label']},
        ],
    },
}
data_root = getenv('PINAS_DATA', 'data/morph2/')
ages = (16, 70)
faces = {
    'type': 'pinas_mm.AgeGenderList',
    'tasks': 'age',
    'ages': (16, 70),
    'data_root': getenv('PINAS_DATA', 'data/morph2/'),
    'data_prefix': 'images',
    'columns': {'image': '', 'age': 'age', 'gender': 'Male'},
    'genders': {'male': ['1'], 'female': ['-1']},
    'age_offset': 16,
}
train_set = {
    'type': 'pinas_mm.AgeGenderList',
    'tasks': 'age',
    'ages': (16, 70),
    'data_root': getenv('PINAS_DATA', 'data/morph2/'),
    'data_prefix': 'images',
    'columns': {'image': '', 'age': 'age', 'gender': 'Male'},
    'genders': {'male': ['1'], 'female': ['-1']},
    'age_offset': 16,
    'ann_file': 'morph2_train.csv',
}
split = {'type': 'pinas_mm.SeededSplit', 'held_out': 4400, 'group': '^(\\d+)_'}
learning = {
    'dataset': {
        'tasks': ['age', 'gender'],
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short'},
            {'type': 'RandomCrop', 'crop_size': 224},
            {'type': 'RandomFlip', 'prob': 0.5},
            {'type': 'PackMultiTaskInputs', 'multi_task_fields': ['gt_label']},
        ],
    }
}
evaluated = {
    'dataset': {
        'tasks': ['age', 'gender'],
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'ResizeEdge', 'scale': 256, 'edge': 'short'},
            {'type': 'CenterCrop', 'crop_size': 224},
            {'type': 'PackMultiTaskInputs', 'multi_task_fields': ['gt_label']},
        ],
    }
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
optim_wrapper = {'optimizer': {'type': 'Adam', 'lr': 0.0001}}
param_scheduler = [{'type': 'CosineAnnealingLR', 'T_max': 30, 'by_epoch': True, 'convert_to_iter_based': True}]
train_cfg = {'by_epoch': True, 'max_epochs': 30, 'val_interval': 30}
val_cfg = {}
test_cfg = {}
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
    'input_size': 224,
    'score': 'age/neg_mae',
}
subnet_stage = {}
