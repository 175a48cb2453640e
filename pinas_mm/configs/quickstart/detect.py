"""Do not edit. python tools/generate_configs.py wrote it from
configs/quickstart/detect.py
"""

model = {
    'type': 'MaskRCNN',
    'data_preprocessor': {
        'type': 'DetDataPreprocessor',
        'mean': [127.5, 127.5, 127.5],
        'std': [127.5, 127.5, 127.5],
        'bgr_to_rgb': True,
        'pad_mask': True,
        'pad_size_divisor': 16,
    },
    'backbone': {
        'type': 'pinas_mm.SearchableMacroNet',
        'arch': 'work_dirs/search/subnet.yaml',
        'out_indices': (1, 2),
        'init_cfg': {'type': 'Pretrained', 'checkpoint': 'work_dirs/search/subnet.pth', 'prefix': 'backbone.'},
    },
    'neck': {'type': 'FPN', 'in_channels': [32, 64], 'out_channels': 32, 'num_outs': 3},
    'rpn_head': {
        'type': 'RPNHead',
        'in_channels': 32,
        'feat_channels': 32,
        'anchor_generator': {'type': 'AnchorGenerator', 'scales': [6], 'ratios': [1.0, 1.6], 'strides': [4, 8, 16]},
        'bbox_coder': {'type': 'DeltaXYWHBBoxCoder', 'target_means': [0.0, 0.0, 0.0, 0.0], 'target_stds': [1.0, 1.0, 1.0, 1.0]},
        'loss_cls': {'type': 'CrossEntropyLoss', 'use_sigmoid': True, 'loss_weight': 1.0},
        'loss_bbox': {'type': 'L1Loss', 'loss_weight': 1.0},
    },
    'roi_head': {
        'type': 'StandardRoIHead',
        'bbox_roi_extractor': {
            'type': 'SingleRoIExtractor',
            'roi_layer': {'type': 'RoIAlign', 'output_size': 7, 'sampling_ratio': 0},
            'out_channels': 32,
            'featmap_strides': [4, 8],
            'finest_scale': 24,
        },
        'bbox_head': {
            'type': 'Shared2FCBBoxHead',
            'in_channels': 32,
            'fc_out_channels': 256,
            'roi_feat_size': 7,
            'num_classes': 10,
            'bbox_coder': {'type': 'DeltaXYWHBBoxCoder', 'target_means': [0.0, 0.0, 0.0, 0.0], 'target_stds': [0.1, 0.1, 0.2, 0.2]},
            'reg_class_agnostic': False,
            'loss_cls': {'type': 'CrossEntropyLoss', 'use_sigmoid': False, 'loss_weight': 1.0},
            'loss_bbox': {'type': 'L1Loss', 'loss_weight': 1.0},
        },
        'mask_roi_extractor': {
            'type': 'SingleRoIExtractor',
            'roi_layer': {'type': 'RoIAlign', 'output_size': 14, 'sampling_ratio': 0},
            'out_channels': 32,
            'featmap_strides': [4, 8],
            'finest_scale': 24,
        },
        'mask_head': {
            'type': 'FCNMaskHead',
            'num_convs': 2,
            'in_channels': 32,
            'conv_out_channels': 32,
            'num_classes': 10,
            'loss_mask': {'type': 'CrossEntropyLoss', 'use_mask': True, 'loss_weight': 1.0},
        },
    },
    'train_cfg': {
        'rpn': {
            'assigner': {
                'type': 'MaxIoUAssigner',
                'pos_iou_thr': 0.7,
                'neg_iou_thr': 0.3,
                'min_pos_iou': 0.3,
                'match_low_quality': True,
                'ignore_iof_thr': -1,
            },
            'sampler': {'type': 'RandomSampler', 'num': 128, 'pos_fraction': 0.5, 'neg_pos_ub': -1, 'add_gt_as_proposals': False},
            'allowed_border': -1,
            'pos_weight': -1,
            'debug': False,
        },
        'rpn_proposal': {'nms_pre': 200, 'max_per_img': 100, 'nms': {'type': 'nms', 'iou_threshold': 0.7}, 'min_bbox_size': 0},
        'rcnn': {
            'assigner': {
                'type': 'MaxIoUAssigner',
                'pos_iou_thr': 0.5,
                'neg_iou_thr': 0.5,
                'min_pos_iou': 0.5,
                'match_low_quality': True,
                'ignore_iof_thr': -1,
            },
            'sampler': {'type': 'RandomSampler', 'num': 32, 'pos_fraction': 0.5, 'neg_pos_ub': -1, 'add_gt_as_proposals': True},
            'mask_size': 28,
            'pos_weight': -1,
            'debug': False,
        },
    },
    'test_cfg': {
        'rpn': {'nms_pre': 200, 'max_per_img': 50, 'nms': {'type': 'nms', 'iou_threshold': 0.7}, 'min_bbox_size': 0},
        'rcnn': {'score_thr': 0.05, 'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 20, 'mask_thr_binary': 0.5},
    },
}
dataset_type = 'CocoDataset'
data_root = 'data/coco/'
backend_args = None
train_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
    {'type': 'Resize', 'scale': (96, 96)},
    {'type': 'PackDetInputs'},
]
test_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'Resize', 'scale': (96, 96)},
    {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
    {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
]
train_dataloader = {
    'batch_size': 8,
    'num_workers': 0,
    'persistent_workers': False,
    'sampler': {'type': 'DefaultSampler', 'shuffle': True},
    'batch_sampler': {'type': 'AspectRatioBatchSampler'},
    'dataset': {
        'type': 'CocoDataset',
        'data_root': 'data/digit_scenes/coco/',
        'ann_file': 'annotations/instances_train2017.json',
        'data_prefix': {'img': 'train2017/'},
        'filter_cfg': {'filter_empty_gt': True, 'min_size': 32},
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
            {'type': 'Resize', 'scale': (96, 96)},
            {'type': 'PackDetInputs'},
        ],
        'backend_args': None,
        'metainfo': {'classes': ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')},
    },
}
val_dataloader = {
    'batch_size': 10,
    'num_workers': 0,
    'persistent_workers': False,
    'drop_last': False,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'CocoDataset',
        'data_root': 'data/digit_scenes/coco/',
        'ann_file': 'annotations/instances_val2017.json',
        'data_prefix': {'img': 'val2017/'},
        'test_mode': True,
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'Resize', 'scale': (96, 96)},
            {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
            {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
        ],
        'backend_args': None,
        'metainfo': {'classes': ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')},
    },
}
test_dataloader = {
    'batch_size': 10,
    'num_workers': 0,
    'persistent_workers': False,
    'drop_last': False,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'CocoDataset',
        'data_root': 'data/digit_scenes/coco/',
        'ann_file': 'annotations/instances_test2017.json',
        'data_prefix': {'img': 'test2017/'},
        'test_mode': True,
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'Resize', 'scale': (96, 96)},
            {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
            {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
        ],
        'backend_args': None,
        'metainfo': {'classes': ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')},
    },
}
val_evaluator = {
    'type': 'CocoMetric',
    'ann_file': 'data/digit_scenes/coco/annotations/instances_val2017.json',
    'metric': ['bbox', 'segm'],
    'format_only': False,
    'backend_args': None,
}
test_evaluator = {
    'type': 'CocoMetric',
    'ann_file': 'data/digit_scenes/coco/annotations/instances_test2017.json',
    'metric': ['bbox', 'segm'],
    'format_only': False,
    'backend_args': None,
}
train_cfg = {'type': 'EpochBasedTrainLoop', 'max_epochs': 5, 'val_interval': 5}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}
param_scheduler = [
    {'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'begin': 0, 'end': 50},
    {'type': 'CosineAnnealingLR', 'T_max': 5, 'by_epoch': True, 'convert_to_iter_based': True},
]
optim_wrapper = {'type': 'OptimWrapper', 'optimizer': {'type': 'AdamW', 'lr': 0.002, 'weight_decay': 0.05}, 'clip_grad': {'max_norm': 10}}
auto_scale_lr = {'enable': False, 'base_batch_size': 8}
default_scope = 'mmdet'
default_hooks = {
    'timer': {'type': 'IterTimerHook'},
    'logger': {'type': 'LoggerHook', 'interval': 10},
    'param_scheduler': {'type': 'ParamSchedulerHook'},
    'checkpoint': {'type': 'CheckpointHook', 'interval': 5, 'max_keep_ckpts': 1},
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
custom_imports = {'imports': ['pinas_mm']}
channels = 32
rois = {'featmap_strides': [4, 8], 'out_channels': 32, 'finest_scale': 24}
root = 'data/digit_scenes/coco/'
metainfo = {'classes': ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')}
load = {'type': 'LoadImageFromFile'}
resize = {'type': 'Resize', 'scale': (96, 96)}
annotations = {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True}
loader = {'num_workers': 0, 'persistent_workers': False}
custom_hooks = [{'type': 'pinas_mm.PredictionPictureHook'}]
