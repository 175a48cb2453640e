"""Do not edit. python tools/generate_configs.py wrote it from
configs/adapt/mask-rcnn_resnest50_fpn_1x_coco.py
"""

model = {
    'type': 'MaskRCNN',
    'data_preprocessor': {
        'type': 'DetDataPreprocessor',
        'mean': [123.675, 116.28, 103.53],
        'std': [58.395, 57.12, 57.375],
        'bgr_to_rgb': True,
        'pad_mask': True,
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
    'neck': {'type': 'FPN', 'in_channels': [256, 512, 1024, 2048], 'out_channels': 256, 'num_outs': 5},
    'rpn_head': {
        'type': 'RPNHead',
        'in_channels': 256,
        'feat_channels': 256,
        'anchor_generator': {'type': 'AnchorGenerator', 'scales': [8], 'ratios': [0.5, 1.0, 2.0], 'strides': [4, 8, 16, 32, 64]},
        'bbox_coder': {'type': 'DeltaXYWHBBoxCoder', 'target_means': [0.0, 0.0, 0.0, 0.0], 'target_stds': [1.0, 1.0, 1.0, 1.0]},
        'loss_cls': {'type': 'CrossEntropyLoss', 'use_sigmoid': True, 'loss_weight': 1.0},
        'loss_bbox': {'type': 'L1Loss', 'loss_weight': 1.0},
    },
    'roi_head': {
        'type': 'StandardRoIHead',
        'bbox_roi_extractor': {
            'type': 'SingleRoIExtractor',
            'roi_layer': {'type': 'RoIAlign', 'output_size': 7, 'sampling_ratio': 0},
            'out_channels': 256,
            'featmap_strides': [4, 8, 16, 32],
        },
        'bbox_head': {
            'type': 'Shared2FCBBoxHead',
            'in_channels': 256,
            'fc_out_channels': 1024,
            'roi_feat_size': 7,
            'num_classes': 80,
            'bbox_coder': {'type': 'DeltaXYWHBBoxCoder', 'target_means': [0.0, 0.0, 0.0, 0.0], 'target_stds': [0.1, 0.1, 0.2, 0.2]},
            'reg_class_agnostic': False,
            'loss_cls': {'type': 'CrossEntropyLoss', 'use_sigmoid': False, 'loss_weight': 1.0},
            'loss_bbox': {'type': 'L1Loss', 'loss_weight': 1.0},
        },
        'mask_roi_extractor': {
            'type': 'SingleRoIExtractor',
            'roi_layer': {'type': 'RoIAlign', 'output_size': 14, 'sampling_ratio': 0},
            'out_channels': 256,
            'featmap_strides': [4, 8, 16, 32],
        },
        'mask_head': {
            'type': 'FCNMaskHead',
            'num_convs': 4,
            'in_channels': 256,
            'conv_out_channels': 256,
            'num_classes': 80,
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
            'sampler': {'type': 'RandomSampler', 'num': 256, 'pos_fraction': 0.5, 'neg_pos_ub': -1, 'add_gt_as_proposals': False},
            'allowed_border': -1,
            'pos_weight': -1,
            'debug': False,
        },
        'rpn_proposal': {'nms_pre': 2000, 'max_per_img': 1000, 'nms': {'type': 'nms', 'iou_threshold': 0.7}, 'min_bbox_size': 0},
        'rcnn': {
            'assigner': {
                'type': 'MaxIoUAssigner',
                'pos_iou_thr': 0.5,
                'neg_iou_thr': 0.5,
                'min_pos_iou': 0.5,
                'match_low_quality': True,
                'ignore_iof_thr': -1,
            },
            'sampler': {'type': 'RandomSampler', 'num': 512, 'pos_fraction': 0.25, 'neg_pos_ub': -1, 'add_gt_as_proposals': True},
            'mask_size': 28,
            'pos_weight': -1,
            'debug': False,
        },
    },
    'test_cfg': {
        'rpn': {'nms_pre': 1000, 'max_per_img': 1000, 'nms': {'type': 'nms', 'iou_threshold': 0.7}, 'min_bbox_size': 0},
        'rcnn': {'score_thr': 0.05, 'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 100, 'mask_thr_binary': 0.5},
    },
}
dataset_type = 'CocoDataset'
data_root = 'data/coco/'
backend_args = None
train_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': None},
    {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
    {'type': 'Resize', 'scale': (1333, 800), 'keep_ratio': True},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'PackDetInputs'},
]
test_pipeline = [
    {'type': 'LoadImageFromFile', 'backend_args': None},
    {'type': 'Resize', 'scale': (1333, 800), 'keep_ratio': True},
    {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
    {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
]
train_dataloader = {
    'batch_size': 2,
    'num_workers': 2,
    'persistent_workers': True,
    'sampler': {'type': 'DefaultSampler', 'shuffle': True},
    'batch_sampler': {'type': 'AspectRatioBatchSampler'},
    'dataset': {
        'part': 'learning',
        'dataset': {
            'type': 'CocoDataset',
            'data_root': 'data/coco/',
            'ann_file': 'annotations/instances_train2017.json',
            'data_prefix': {'img': 'train2017/'},
            'filter_cfg': {'filter_empty_gt': True, 'min_size': 32},
            'pipeline': [
                {'type': 'LoadImageFromFile', 'backend_args': None},
                {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
                {'type': 'Resize', 'scale': (1333, 800), 'keep_ratio': True},
                {'type': 'RandomFlip', 'prob': 0.5},
                {'type': 'PackDetInputs'},
            ],
            'backend_args': None,
        },
        'type': 'pinas_mm.SeededSplit',
        'held_out': 5000,
    },
}
val_dataloader = {
    'batch_size': 1,
    'num_workers': 2,
    'persistent_workers': True,
    'drop_last': False,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'part': 'held_out',
        'dataset': {
            'type': 'CocoDataset',
            'data_root': 'data/coco/',
            'ann_file': 'annotations/instances_train2017.json',
            'data_prefix': {'img': 'train2017/'},
            'filter_cfg': {'filter_empty_gt': True, 'min_size': 32},
            'pipeline': [
                {'type': 'LoadImageFromFile', 'backend_args': None},
                {'type': 'Resize', 'scale': (1333, 800), 'keep_ratio': True},
                {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
                {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
            ],
            'backend_args': None,
        },
        'type': 'pinas_mm.SeededSplit',
        'held_out': 5000,
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
            {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
            {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
        ],
        'backend_args': None,
    },
}
val_evaluator = {'type': 'CocoMetric', 'ann_file': None, 'metric': ['bbox', 'segm'], 'format_only': False, 'backend_args': None}
test_evaluator = {
    'type': 'CocoMetric',
    'ann_file': 'data/coco/annotations/instances_val2017.json',
    'metric': ['bbox', 'segm'],
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
optim_wrapper = {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 0.02, 'momentum': 0.9, 'weight_decay': 0.0001}}
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
    'input_size': (800, 1216),
    'score': 'coco/bbox_mAP',
}
subnet_stage = {}
split = {'type': 'pinas_mm.SeededSplit', 'held_out': 5000}
train_set = {
    'type': 'CocoDataset',
    'data_root': 'data/coco/',
    'ann_file': 'annotations/instances_train2017.json',
    'data_prefix': {'img': 'train2017/'},
    'filter_cfg': {'filter_empty_gt': True, 'min_size': 32},
    'pipeline': [
        {'type': 'LoadImageFromFile', 'backend_args': None},
        {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
        {'type': 'Resize', 'scale': (1333, 800), 'keep_ratio': True},
        {'type': 'RandomFlip', 'prob': 0.5},
        {'type': 'PackDetInputs'},
    ],
    'backend_args': None,
}
