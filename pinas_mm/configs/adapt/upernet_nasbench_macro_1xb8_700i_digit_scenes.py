"""Do not edit. python tools/generate_configs.py wrote it from
configs/adapt/upernet_nasbench-macro_1xb8-700i_digit-scenes.py
"""

norm_cfg = {'type': 'BN', 'requires_grad': True}
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
        'mean': [127.5, 127.5, 127.5],
        'std': [127.5, 127.5, 127.5],
        'bgr_to_rgb': True,
        'pad_val': 0,
        'seg_pad_val': 255,
        'size': (96, 96),
    },
    'pretrained': None,
    'backbone': {
        'type': 'pinas_mm.SearchableMacroNet',
        'arch': 'work_dirs/search/subnet.yaml',
        'out_indices': (1, 2, 3),
        'init_cfg': {'type': 'Pretrained', 'checkpoint': 'work_dirs/search/subnet.pth', 'prefix': 'backbone.'},
        'widen_factor': 0.25,
    },
    'decode_head': {
        'type': 'UPerHead',
        'in_channels': [32, 64, 320],
        'in_index': [0, 1, 2],
        'pool_scales': (1, 2, 3, 6),
        'channels': 64,
        'dropout_ratio': 0.1,
        'num_classes': 11,
        'norm_cfg': {'type': 'BN', 'requires_grad': True},
        'align_corners': False,
        'loss_decode': {
            'type': 'CrossEntropyLoss',
            'use_sigmoid': False,
            'loss_weight': 1.0,
            'class_weight': [0.2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        },
    },
    'auxiliary_head': {
        'type': 'FCNHead',
        'in_channels': 64,
        'in_index': 1,
        'channels': 32,
        'num_convs': 1,
        'concat_input': False,
        'dropout_ratio': 0.1,
        'num_classes': 11,
        'norm_cfg': {'type': 'BN', 'requires_grad': True},
        'align_corners': False,
        'loss_decode': {
            'type': 'CrossEntropyLoss',
            'use_sigmoid': False,
            'loss_weight': 0.4,
            'class_weight': [0.2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        },
    },
    'train_cfg': {},
    'test_cfg': {'mode': 'whole'},
}
dataset_type = 'ADE20KDataset'
data_root = 'data/ade/ADEChallengeData2016'
crop_size = (512, 512)
train_pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'reduce_zero_label': True}, {'type': 'PackSegInputs'}]
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
    'batch_size': 8,
    'num_workers': 0,
    'persistent_workers': False,
    'sampler': {'type': 'InfiniteSampler', 'shuffle': True},
    'dataset': {
        'type': 'pinas_mm.DigitScenesADE20K',
        'data_root': 'data/digit_scenes/ade20k',
        'data_prefix': {'img_path': 'images/training', 'seg_map_path': 'annotations/training'},
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'reduce_zero_label': True}, {'type': 'PackSegInputs'}],
    },
}
val_dataloader = {
    'batch_size': 10,
    'num_workers': 0,
    'persistent_workers': False,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'pinas_mm.DigitScenesADE20K',
        'data_root': 'data/digit_scenes/ade20k',
        'data_prefix': {'img_path': 'images/validation', 'seg_map_path': 'annotations/validation'},
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'reduce_zero_label': True}, {'type': 'PackSegInputs'}],
    },
}
test_dataloader = {
    'batch_size': 10,
    'num_workers': 0,
    'persistent_workers': False,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'pinas_mm.DigitScenesADE20K',
        'data_root': 'data/digit_scenes/ade20k',
        'data_prefix': {'img_path': 'images/test', 'seg_map_path': 'annotations/test'},
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'reduce_zero_label': True}, {'type': 'PackSegInputs'}],
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
optim_wrapper = {'type': 'OptimWrapper', 'optimizer': {'type': 'AdamW', 'lr': 0.003, 'weight_decay': 0.01}, 'clip_grad': None}
param_scheduler = [
    {'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'begin': 0, 'end': 50},
    {'type': 'CosineAnnealingLR', 'T_max': 700, 'by_epoch': False},
]
train_cfg = {'type': 'IterBasedTrainLoop', 'max_iters': 700, 'val_interval': 700}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}
default_hooks = {
    'timer': {'type': 'IterTimerHook'},
    'logger': {'type': 'LoggerHook', 'interval': 10, 'log_metric_by_epoch': False},
    'param_scheduler': {'type': 'ParamSchedulerHook'},
    'checkpoint': {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 700, 'max_keep_ckpts': 1},
    'sampler_seed': {'type': 'DistSamplerSeedHook'},
    'visualization': {'type': 'SegVisualizationHook'},
}
custom_imports = {'imports': ['pinas_mm', 'pinas_mm.datasets.digit_scene_datasets']}
class_weight = [0.2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
data = {
    'type': 'pinas_mm.DigitScenesADE20K',
    'data_root': 'data/digit_scenes/ade20k',
    'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'reduce_zero_label': True}, {'type': 'PackSegInputs'}],
}
custom_hooks = [{'type': 'pinas_mm.PredictionPictureHook'}]
auto_scale_lr = {'enable': False, 'base_batch_size': 8}
supernet_stage = {
    'model': {'backbone': {'norm_eval': False, 'frozen_norm_eval': False}},
    'model_wrapper_cfg': {'type': 'pinas_mm.ActiveGradientDataParallel'},
    'custom_hooks': [{'type': 'pinas_mm.ArchSamplingHook', 'probabilities': [0.1, 0.45, 0.45]}],
}
search_loop = {
    'type': 'pinas_mm.SearchLoop',
    'searcher': {'type': 'partition_tree'},
    'num_archs': 50,
    'calibration_batches': 4,
    'input_size': 96,
    'score': 'mIoU',
}
subnet_stage = {}
