"""Do not edit. python tools/generate_configs.py wrote it from
configs/mmdet/retinanet_pinas-resnest50_fpn_1x_coco.py
"""

model = {
    'type': 'RetinaNet',
    'data_preprocessor': {
        'type': 'DetDataPreprocessor',
        'mean': [123.675, 116.28, 103.53],
        'std': [58.395, 57.12, 57.375],
        'bgr_to_rgb': True,
        'pad_size_divisor': 32,
    },
    'backbone': {
        'frozen_stages': 1,
        'norm_eval': True,
        'type': 'pinas_mm.SearchableResNeSt',
        'arch': [3, 3, 3, 3, 1, 1, 3, 3, 3, 0, 0, 1, 1, 0, 2, 1],
        'out_indices': (0, 1, 2, 3),
        'init_cfg': {'type': 'Pretrained', 'checkpoint': 'set model.backbone.init_cfg.checkpoint', 'prefix': 'backbone.'},
    },
    'neck': {
        'type': 'FPN',
        'in_channels': [256, 512, 1024, 2048],
        'out_channels': 256,
        'start_level': 1,
        'add_extra_convs': 'on_input',
        'num_outs': 5,
    },
    'bbox_head': {
        'type': 'RetinaHead',
        'num_classes': 80,
        'in_channels': 256,
        'stacked_convs': 4,
        'feat_channels': 256,
        'anchor_generator': {
            'type': 'AnchorGenerator',
            'octave_base_scale': 4,
            'scales_per_octave': 3,
            'ratios': [0.5, 1.0, 2.0],
            'strides': [8, 16, 32, 64, 128],
        },
        'bbox_coder': {'type': 'DeltaXYWHBBoxCoder', 'target_means': [0.0, 0.0, 0.0, 0.0], 'target_stds': [1.0, 1.0, 1.0, 1.0]},
        'loss_cls': {'type': 'FocalLoss', 'use_sigmoid': True, 'gamma': 2.0, 'alpha': 0.25, 'loss_weight': 1.0},
        'loss_bbox': {'type': 'L1Loss', 'loss_weight': 1.0},
    },
    'train_cfg': {
        'assigner': {'type': 'MaxIoUAssigner', 'pos_iou_thr': 0.5, 'neg_iou_thr': 0.4, 'min_pos_iou': 0, 'ignore_iof_thr': -1},
        'sampler': {'type': 'PseudoSampler'},
        'allowed_border': -1,
        'pos_weight': -1,
        'debug': False,
    },
    'test_cfg': {'nms_pre': 1000, 'min_bbox_size': 0, 'score_thr': 0.05, 'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 100},
}
dataset_type = 'CocoDataset'
data_root = 'data/coco/'
backend_args = None
train_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': None},
    {'type': 'LoadAnnotations', 'with_bbox': True},
    {'type': 'Resize', 'scale': (1333, 800), 'keep_ratio': True},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'PackDetInputs'},
]
test_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': None},
    {'type': 'Resize', 'scale': (1333, 800), 'keep_ratio': True},
    {'type': 'LoadAnnotations', 'with_bbox': True},
    {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
]
train_dataloader = {
    'batch_size': 2,
    'num_workers': 2,
    'persistent_workers': True,
    'sampler': {'type': 'DefaultSampler', 'shuffle': True},
    'batch_sampler': {'type': 'AspectRatioBatchSampler'},
    'dataset': {
        'type': 'CocoDataset',
        'data_root': 'data/coco/',
        'ann_file': 'annotations/instances_train2017.json',
        'data_prefix': {'img': 'train2017/'},
        'filter_cfg': {'filter_empty_gt': True, 'min_size': 32},
        'pipeline': [
            {'type': 'LoadImageFromFile', 'backend_args': None},
            {'type': 'LoadAnnotations', 'with_bbox': True},
            {'type': 'Resize', 'scale': (1333, 800), 'keep_ratio': True},
            {'type': 'RandomFlip', 'prob': 0.5},
            {'type': 'PackDetInputs'},
        ],
        'backend_args': None,
    },
}
val_dataloader = {
    'batch_size': 1,
    'num_workers': 2,
    'persistent_workers': True,
    'drop_last': False,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'CocoDataset',
        'data_root': 'data/coco/',
        'ann_file': 'annotations/instances_val2017.json',
        'data_prefix': {'img': 'val2017/'},
        'test_mode': True,
        'pipeline': [
            {'type': 'LoadImageFromFile', 'backend_args': None},
            {'type': 'Resize', 'scale': (1333, 800), 'keep_ratio': True},
            {'type': 'LoadAnnotations', 'with_bbox': True},
            {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
        ],
        'backend_args': None,
    },
}
test_dataloader = {
    'batch_size': 1,
    'num_workers': 2,
    'persistent_workers': True,
    'drop_last': False,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'CocoDataset',
        'data_root': 'data/coco/',
        'ann_file': 'annotations/instances_val2017.json',
        'data_prefix': {'img': 'val2017/'},
        'test_mode': True,
        'pipeline': [
            {'type': 'LoadImageFromFile', 'backend_args': None},
            {'type': 'Resize', 'scale': (1333, 800), 'keep_ratio': True},
            {'type': 'LoadAnnotations', 'with_bbox': True},
            {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
        ],
        'backend_args': None,
    },
}
val_evaluator = {
    'type': 'CocoMetric',
    'ann_file': 'data/coco/annotations/instances_val2017.json',
    'metric': 'bbox',
    'format_only': False,
    'backend_args': None,
}
test_evaluator = {
    'type': 'CocoMetric',
    'ann_file': 'data/coco/annotations/instances_val2017.json',
    'metric': 'bbox',
    'format_only': False,
    'backend_args': None,
}
train_cfg = {'type': 'EpochBasedTrainLoop', 'max_epochs': 12, 'val_interval': 1}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}
param_scheduler = [
    {'type': 'LinearLR', 'start_factor': 0.001, 'by_epoch': False, 'begin': 0, 'end': 500},
    {'type': 'MultiStepLR', 'begin': 0, 'end': 12, 'by_epoch': True, 'milestones': [8, 11], 'gamma': 0.1},
]
optim_wrapper = {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 0.01, 'momentum': 0.9, 'weight_decay': 0.0001}}
auto_scale_lr = {'enable': False, 'base_batch_size': 16}
default_scope = 'mmdet'
default_hooks = {
    'timer': {'type': 'IterTimerHook'},
    'logger': {'type': 'LoggerHook', 'interval': 50},
    'param_scheduler': {'type': 'ParamSchedulerHook'},
    'checkpoint': {'type': 'CheckpointHook', 'interval': 1},
    'sampler_seed': {'type': 'DistSamplerSeedHook'},
    'visualization': {'type': 'DetVisualizationHook'},
}
env_cfg = {'cudnn_benchmark': False, 'mp_cfg': {'mp_start_method': 'fork', 'opencv_num_threads': 0}, 'dist_cfg': {'backend': 'nccl'}}
vis_backends = [{'type': 'LocalVisBackend'}]
visualizer = {'type': 'DetLocalVisualizer', 'vis_backends': [{'type': 'LocalVisBackend'}], 'name': 'visualizer'}
log_processor = {'type': 'LogProcessor', 'window_size': 50, 'by_epoch': True}
log_level = 'INFO'
load_from = None
resume = False
tta_model = {'type': 'DetTTAModel', 'tta_cfg': {'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 100}}
img_scales = [(1333, 800), (666, 400), (2000, 1200)]
tta_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': None},
    {
        'type': 'TestTimeAug',
        'transforms': [
            [
                {'type': 'Resize', 'scale': (1333, 800), 'keep_ratio': True},
                {'type': 'Resize', 'scale': (666, 400), 'keep_ratio': True},
                {'type': 'Resize', 'scale': (2000, 1200), 'keep_ratio': True},
            ],
            [{'type': 'RandomFlip', 'prob': 1.0}, {'type': 'RandomFlip', 'prob': 0.0}],
            [{'type': 'LoadAnnotations', 'with_bbox': True}],
            [
                {
                    'type': 'PackDetInputs',
                    'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction'),
                }
            ],
        ],
    },
]
custom_imports = {'imports': ['pinas_mm']}
searched_backbone = {
    'type': 'pinas_mm.SearchableResNeSt',
    'arch': [3, 3, 3, 3, 1, 1, 3, 3, 3, 0, 0, 1, 1, 0, 2, 1],
    'out_indices': (0, 1, 2, 3),
    'init_cfg': {'type': 'Pretrained', 'checkpoint': 'set model.backbone.init_cfg.checkpoint', 'prefix': 'backbone.'},
}
