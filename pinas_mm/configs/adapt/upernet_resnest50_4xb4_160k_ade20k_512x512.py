"""Do not edit. python tools/generate_configs.py wrote it from
configs/adapt/upernet_resnest50_4xb4-160k_ade20k-512x512.py
"""

norm_cfg = {'type': 'SyncBN', 'requires_grad': True}
data_preprocessor = {
    'type': 'SegDataPreProcessor',
    'mean': [123.675, 116.28, 103.53],
    'std': [58.395, 57.12, 57.375],
    'bgr_to_rgb': True,
    'pad_val': 0,
    'seg_pad_val': 255,
    'size': (512, 512),
}
model = {
    'type': 'EncoderDecoder',
    'data_preprocessor': {
        'type': 'SegDataPreProcessor',
        'mean': [123.675, 116.28, 103.53],
        'std': [58.395, 57.12, 57.375],
        'bgr_to_rgb': True,
        'pad_val': 0,
        'seg_pad_val': 255,
        'size': (512, 512),
    },
    'pretrained': None,
    'backbone': {
        'norm_cfg': {'type': 'SyncBN', 'requires_grad': True},
        'type': 'pinas_mm.SearchableResNeSt',
        'arch': [3, 3, 3, 3, 1, 1, 3, 3, 3, 0, 0, 1, 1, 0, 2, 1],
        'out_indices': (0, 1, 2, 3),
        'init_cfg': {'type': 'Pretrained', 'checkpoint': 'set model.backbone.init_cfg.checkpoint', 'prefix': 'backbone.'},
    },
    'decode_head': {
        'type': 'UPerHead',
        'in_channels': [256, 512, 1024, 2048],
        'in_index': [0, 1, 2, 3],
        'pool_scales': (1, 2, 3, 6),
        'channels': 512,
        'dropout_ratio': 0.1,
        'num_classes': 150,
        'norm_cfg': {'type': 'SyncBN', 'requires_grad': True},
        'align_corners': False,
        'loss_decode': {'type': 'CrossEntropyLoss', 'use_sigmoid': False, 'loss_weight': 1.0},
    },
    'auxiliary_head': {
        'type': 'FCNHead',
        'in_channels': 1024,
        'in_index': 2,
        'channels': 256,
        'num_convs': 1,
        'concat_input': False,
        'dropout_ratio': 0.1,
        'num_classes': 150,
        'norm_cfg': {'type': 'SyncBN', 'requires_grad': True},
        'align_corners': False,
        'loss_decode': {'type': 'CrossEntropyLoss', 'use_sigmoid': False, 'loss_weight': 0.4},
    },
    'train_cfg': {},
    'test_cfg': {'mode': 'whole'},
}
dataset_type = 'ADE20KDataset'
data_root = 'data/ade/ADEChallengeData2016'
crop_size = (512, 512)
train_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'LoadAnnotations', 'reduce_zero_label': True},
    {'type': 'RandomResize', 'scale': (2048, 512), 'ratio_range': (0.5, 2.0), 'keep_ratio': True},
    {'type': 'RandomCrop', 'crop_size': (512, 512), 'cat_max_ratio': 0.75},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'PhotoMetricDistortion'},
    {'type': 'PackSegInputs'},
]
test_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'Resize', 'scale': (2048, 512), 'keep_ratio': True},
    {'type': 'LoadAnnotations', 'reduce_zero_label': True},
    {'type': 'PackSegInputs'},
]
img_ratios = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
tta_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': None},
    {
        'type': 'TestTimeAug',
        'transforms': [
            [
                {'type': 'Resize', 'scale_factor': 0.5, 'keep_ratio': True},
                {'type': 'Resize', 'scale_factor': 0.75, 'keep_ratio': True},
                {'type': 'Resize', 'scale_factor': 1.0, 'keep_ratio': True},
                {'type': 'Resize', 'scale_factor': 1.25, 'keep_ratio': True},
                {'type': 'Resize', 'scale_factor': 1.5, 'keep_ratio': True},
                {'type': 'Resize', 'scale_factor': 1.75, 'keep_ratio': True},
            ],
            [
                {'type': 'RandomFlip', 'prob': 0.0, 'direction': 'horizontal'},
                {'type': 'RandomFlip', 'prob': 1.0, 'direction': 'horizontal'},
            ],
            [{'type': 'LoadAnnotations'}],
            [{'type': 'PackSegInputs'}],
        ],
    },
]
train_dataloader = {
    'batch_size': 4,
    'num_workers': 4,
    'persistent_workers': True,
    'sampler': {'type': 'InfiniteSampler', 'shuffle': True},
    'dataset': {
        'part': 'learning',
        'dataset': {
            'type': 'ADE20KDataset',
            'data_root': 'data/ade/ADEChallengeData2016',
            'data_prefix': {'img_path': 'images/training', 'seg_map_path': 'annotations/training'},
            'pipeline': [
                {'type': 'LoadImageFromFile'},
                {'type': 'LoadAnnotations', 'reduce_zero_label': True},
                {'type': 'RandomResize', 'scale': (2048, 512), 'ratio_range': (0.5, 2.0), 'keep_ratio': True},
                {'type': 'RandomCrop', 'crop_size': (512, 512), 'cat_max_ratio': 0.75},
                {'type': 'RandomFlip', 'prob': 0.5},
                {'type': 'PhotoMetricDistortion'},
                {'type': 'PackSegInputs'},
            ],
        },
        'type': 'pinas_mm.SeededSplit',
        'held_out': 1000,
    },
}
val_dataloader = {
    'batch_size': 1,
    'num_workers': 4,
    'persistent_workers': True,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'part': 'held_out',
        'dataset': {
            'type': 'ADE20KDataset',
            'data_root': 'data/ade/ADEChallengeData2016',
            'data_prefix': {'img_path': 'images/training', 'seg_map_path': 'annotations/training'},
            'pipeline': [
                {'type': 'LoadImageFromFile'},
                {'type': 'Resize', 'scale': (2048, 512), 'keep_ratio': True},
                {'type': 'LoadAnnotations', 'reduce_zero_label': True},
                {'type': 'PackSegInputs'},
            ],
        },
        'type': 'pinas_mm.SeededSplit',
        'held_out': 1000,
    },
}
test_dataloader = {
    'batch_size': 1,
    'num_workers': 4,
    'persistent_workers': True,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'ADE20KDataset',
        'data_root': 'data/ade/ADEChallengeData2016',
        'data_prefix': {'img_path': 'images/validation', 'seg_map_path': 'annotations/validation'},
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'Resize', 'scale': (2048, 512), 'keep_ratio': True},
            {'type': 'LoadAnnotations', 'reduce_zero_label': True},
            {'type': 'PackSegInputs'},
        ],
    },
}
val_evaluator = {'type': 'IoUMetric', 'iou_metrics': ['mIoU']}
test_evaluator = {'type': 'IoUMetric', 'iou_metrics': ['mIoU']}
default_scope = 'mmseg'
env_cfg = {'cudnn_benchmark': True, 'mp_cfg': {'mp_start_method': 'fork', 'opencv_num_threads': 0}, 'dist_cfg': {'backend': 'nccl'}}
vis_backends = [{'type': 'LocalVisBackend'}]
visualizer = {'type': 'SegLocalVisualizer', 'vis_backends': [{'type': 'LocalVisBackend'}], 'name': 'visualizer'}
log_processor = {'by_epoch': False}
log_level = 'INFO'
load_from = None
resume = False
tta_model = {'type': 'SegTTAModel'}
optimizer = {'type': 'SGD', 'lr': 0.01, 'momentum': 0.9, 'weight_decay': 0.0005}
optim_wrapper = {
    'type': 'OptimWrapper',
    'optimizer': {'type': 'SGD', 'lr': 0.01, 'momentum': 0.9, 'weight_decay': 0.0005},
    'clip_grad': None,
}
param_scheduler = [{'type': 'PolyLR', 'eta_min': 0.0001, 'power': 0.9, 'begin': 0, 'end': 160000, 'by_epoch': False}]
train_cfg = {'type': 'IterBasedTrainLoop', 'max_iters': 160000, 'val_interval': 16000}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}
default_hooks = {
    'timer': {'type': 'IterTimerHook'},
    'logger': {'type': 'LoggerHook', 'interval': 50, 'log_metric_by_epoch': False},
    'param_scheduler': {'type': 'ParamSchedulerHook'},
    'checkpoint': {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 16000},
    'sampler_seed': {'type': 'DistSamplerSeedHook'},
    'visualization': {'type': 'SegVisualizationHook'},
}
custom_imports = {'imports': ['pinas_mm']}
searched_backbone = {
    'type': 'pinas_mm.SearchableResNeSt',
    'arch': [3, 3, 3, 3, 1, 1, 3, 3, 3, 0, 0, 1, 1, 0, 2, 1],
    'out_indices': (0, 1, 2, 3),
    'init_cfg': {'type': 'Pretrained', 'checkpoint': 'set model.backbone.init_cfg.checkpoint', 'prefix': 'backbone.'},
}
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
    'input_size': 512,
    'score': 'mIoU',
}
subnet_stage = {}
split = {'type': 'pinas_mm.SeededSplit', 'held_out': 1000}
train_set = {
    'type': 'ADE20KDataset',
    'data_root': 'data/ade/ADEChallengeData2016',
    'data_prefix': {'img_path': 'images/training', 'seg_map_path': 'annotations/training'},
    'pipeline': [
        {'type': 'LoadImageFromFile'},
        {'type': 'LoadAnnotations', 'reduce_zero_label': True},
        {'type': 'RandomResize', 'scale': (2048, 512), 'ratio_range': (0.5, 2.0), 'keep_ratio': True},
        {'type': 'RandomCrop', 'crop_size': (512, 512), 'cat_max_ratio': 0.75},
        {'type': 'RandomFlip', 'prob': 0.5},
        {'type': 'PhotoMetricDistortion'},
        {'type': 'PackSegInputs'},
    ],
}
