"""Do not edit. python tools/generate_configs.py wrote it from
configs/adapt/faster-rcnn_nasbench-macro_fpn_1xb8-6e_bccd.py
"""

model = {
    'type': 'FasterRCNN',
    'data_preprocessor': {
        'type': 'DetDataPreprocessor',
        'mean': [123.675, 116.28, 103.53],
        'std': [58.395, 57.12, 57.375],
        'bgr_to_rgb': True,
        'pad_size_divisor': 32,
    },
    'backbone': {
        'type': 'pinas_mm.SearchableMacroNet',
        'arch': 'work_dirs/search/subnet.yaml',
        'out_indices': (1, 2),
        'init_cfg': {'type': 'Pretrained', 'checkpoint': 'work_dirs/search/subnet.pth', 'prefix': 'backbone.'},
        'widen_factor': 0.25,
    },
    'neck': {'type': 'FPN', 'in_channels': [32, 64], 'out_channels': 64, 'num_outs': 4},
    'rpn_head': {
        'type': 'RPNHead',
        'in_channels': 64,
        'feat_channels': 64,
        'anchor_generator': {'type': 'AnchorGenerator', 'scales': [4], 'ratios': [0.5, 1.0, 2.0], 'strides': [4, 8, 16, 32]},
        'bbox_coder': {'type': 'DeltaXYWHBBoxCoder', 'target_means': [0.0, 0.0, 0.0, 0.0], 'target_stds': [1.0, 1.0, 1.0, 1.0]},
        'loss_cls': {'type': 'CrossEntropyLoss', 'use_sigmoid': True, 'loss_weight': 1.0},
        'loss_bbox': {'type': 'L1Loss', 'loss_weight': 1.0},
    },
    'roi_head': {
        'type': 'StandardRoIHead',
        'bbox_roi_extractor': {
            'type': 'SingleRoIExtractor',
            'roi_layer': {'type': 'RoIAlign', 'output_size': 7, 'sampling_ratio': 2},
            'out_channels': 64,
            'featmap_strides': [4, 8, 16, 32],
            'finest_scale': 28,
        },
        'bbox_head': {
            'type': 'Shared2FCBBoxHead',
            'in_channels': 64,
            'fc_out_channels': 256,
            'roi_feat_size': 7,
            'num_classes': 3,
            'bbox_coder': {'type': 'DeltaXYWHBBoxCoder', 'target_means': [0.0, 0.0, 0.0, 0.0], 'target_stds': [0.1, 0.1, 0.2, 0.2]},
            'reg_class_agnostic': False,
            'loss_cls': {'type': 'CrossEntropyLoss', 'use_sigmoid': False, 'loss_weight': 1.0},
            'loss_bbox': {'type': 'L1Loss', 'loss_weight': 1.0},
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
        'rpn_proposal': {'nms_pre': 500, 'max_per_img': 300, 'nms': {'type': 'nms', 'iou_threshold': 0.7}, 'min_bbox_size': 0},
        'rcnn': {
            'assigner': {
                'type': 'MaxIoUAssigner',
                'pos_iou_thr': 0.5,
                'neg_iou_thr': 0.5,
                'min_pos_iou': 0.5,
                'match_low_quality': False,
                'ignore_iof_thr': -1,
            },
            'sampler': {'type': 'RandomSampler', 'num': 64, 'pos_fraction': 0.25, 'neg_pos_ub': -1, 'add_gt_as_proposals': True},
            'pos_weight': -1,
            'debug': False,
        },
    },
    'test_cfg': {
        'rpn': {'nms_pre': 500, 'max_per_img': 300, 'nms': {'type': 'nms', 'iou_threshold': 0.7}, 'min_bbox_size': 0},
        'rcnn': {'score_thr': 0.05, 'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 100},
    },
}
dataset_type = 'CocoDataset'
data_root = 'data/bccd/'
backend_args = None
train_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'LoadAnnotations', 'with_bbox': True},
    {'type': 'Resize', 'scale': (320, 240), 'keep_ratio': True},
    {'type': 'RandomFlip', 'prob': 0.5, 'direction': ['horizontal', 'vertical']},
    {'type': 'PackDetInputs'},
]
test_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'Resize', 'scale': (320, 240), 'keep_ratio': True},
    {'type': 'LoadAnnotations', 'with_bbox': True},
    {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
]
train_dataloader = {
    'batch_size': 8,
    'num_workers': 2,
    'persistent_workers': True,
    'sampler': {'type': 'DefaultSampler', 'shuffle': True},
    'batch_sampler': {'type': 'AspectRatioBatchSampler'},
    'dataset': {
        'type': 'CocoDataset',
        'data_root': 'data/bccd/',
        'ann_file': 'annotations/train.json',
        'data_prefix': {'img': 'train/'},
        'filter_cfg': {'filter_empty_gt': True, 'min_size': 32},
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'LoadAnnotations', 'with_bbox': True},
            {'type': 'Resize', 'scale': (320, 240), 'keep_ratio': True},
            {'type': 'RandomFlip', 'prob': 0.5, 'direction': ['horizontal', 'vertical']},
            {'type': 'PackDetInputs'},
        ],
        'backend_args': None,
        'metainfo': {'classes': ('RBC', 'WBC', 'Platelets')},
    },
}
val_dataloader = {
    'batch_size': 8,
    'num_workers': 2,
    'persistent_workers': True,
    'drop_last': False,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'CocoDataset',
        'data_root': 'data/bccd/',
        'ann_file': 'annotations/val.json',
        'data_prefix': {'img': 'val/'},
        'test_mode': True,
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'Resize', 'scale': (320, 240), 'keep_ratio': True},
            {'type': 'LoadAnnotations', 'with_bbox': True},
            {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
        ],
        'backend_args': None,
        'metainfo': {'classes': ('RBC', 'WBC', 'Platelets')},
    },
}
test_dataloader = {
    'batch_size': 8,
    'num_workers': 2,
    'persistent_workers': True,
    'drop_last': False,
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'dataset': {
        'type': 'CocoDataset',
        'data_root': 'data/bccd/',
        'ann_file': 'annotations/test.json',
        'data_prefix': {'img': 'test/'},
        'test_mode': True,
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'Resize', 'scale': (320, 240), 'keep_ratio': True},
            {'type': 'LoadAnnotations', 'with_bbox': True},
            {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')},
        ],
        'backend_args': None,
        'metainfo': {'classes': ('RBC', 'WBC', 'Platelets')},
    },
}
val_evaluator = {
    'type': 'CocoMetric',
    'ann_file': 'data/bccd/annotations/val.json',
    'metric': 'bbox',
    'format_only': False,
    'backend_args': None,
}
test_evaluator = {
    'type': 'CocoMetric',
    'ann_file': 'data/bccd/annotations/test.json',
    'metric': 'bbox',
    'format_only': False,
    'backend_args': None,
}
train_cfg = {'type': 'EpochBasedTrainLoop', 'max_epochs': 6, 'val_interval': 1}
val_cfg = {'type': 'ValLoop'}
test_cfg = {'type': 'TestLoop'}
param_scheduler = [
    {'type': 'LinearLR', 'start_factor': 0.01, 'by_epoch': False, 'begin': 0, 'end': 50},
    {'type': 'CosineAnnealingLR', 'T_max': 6, 'by_epoch': True, 'convert_to_iter_based': True},
]
optim_wrapper = {'type': 'OptimWrapper', 'optimizer': {'type': 'AdamW', 'lr': 0.001, 'weight_decay': 0.05}, 'clip_grad': {'max_norm': 10}}
auto_scale_lr = {'enable': False, 'base_batch_size': 8}
default_scope = 'mmdet'
default_hooks = {
    'timer': {'type': 'IterTimerHook'},
    'logger': {'type': 'LoggerHook', 'interval': 10},
    'param_scheduler': {'type': 'ParamSchedulerHook'},
    'checkpoint': {'type': 'CheckpointHook', 'interval': 1, 'max_keep_ckpts': 1},
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
metainfo = {'classes': ('RBC', 'WBC', 'Platelets')}
part = {'data_root': 'data/bccd/', 'metainfo': {'classes': ('RBC', 'WBC', 'Platelets')}}
custom_hooks = [{'type': 'pinas_mm.PredictionPictureHook', 'num_images': 4, 'scale': 1}]
supernet_stage = {
    'model': {'backbone': {'norm_eval': False, 'frozen_norm_eval': False}},
    'model_wrapper_cfg': {'type': 'pinas_mm.ActiveGradientDataParallel'},
    'custom_hooks': [{'type': 'pinas_mm.ArchSamplingHook', 'probabilities': [0.1, 0.45, 0.45]}],
}
search_loop = {
    'type': 'pinas_mm.SearchLoop',
    'searcher': {'type': 'partition_tree'},
    'num_archs': 100,
    'calibration_batches': 8,
    'input_size': (240, 320),
    'score': 'coco/bbox_mAP',
}
subnet_stage = {}
