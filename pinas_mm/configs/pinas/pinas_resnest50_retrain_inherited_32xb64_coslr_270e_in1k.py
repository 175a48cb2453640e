"""Do not edit. python tools/generate_configs.py wrote it from
configs/pinas/pinas_resnest50-retrain-inherited_32xb64-coslr-270e_in1k.py
"""

model = {
    'type': 'ImageClassifier',
    'backbone': {
        'type': 'pinas_mm.SearchableResNeSt',
        'arch': 'work_dirs/search/subnet.yaml',
        'out_indices': (3,),
        'init_cfg': {'type': 'Pretrained', 'checkpoint': 'work_dirs/search/subnet.pth', 'prefix': 'backbone.'},
    },
    'neck': {'type': 'GlobalAveragePooling'},
    'head': {
        'type': 'LinearClsHead',
        'num_classes': 1000,
        'in_channels': 2048,
        'loss': {'type': 'LabelSmoothLoss', 'label_smooth_val': 0.1, 'num_classes': 1000, 'reduction': 'mean', 'loss_weight': 1.0},
        'topk': (1, 5),
        'cal_acc': False,
    },
    'train_cfg': {'augments': {'type': 'Mixup', 'alpha': 0.2}},
}
dataset_type = 'ImageNet'
data_preprocessor = {'num_classes': 1000, 'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375], 'to_rgb': True}
train_pipeline = [
    {'type': 'LoadImageFromFile'},
    {
        'type': 'RandAugment',
        'policies': [
            {'type': 'AutoContrast', 'prob': 0.5},
            {'type': 'Equalize', 'prob': 0.5},
            {'type': 'Invert', 'prob': 0.5},
            {
                'type': 'Rotate',
                'magnitude_key': 'angle',
                'magnitude_range': (0, 30),
                'pad_val': 0,
                'prob': 0.5,
                'random_negative_prob': 0.5,
            },
            {'type': 'Posterize', 'magnitude_key': 'bits', 'magnitude_range': (0, 4), 'prob': 0.5},
            {'type': 'Solarize', 'magnitude_key': 'thr', 'magnitude_range': (0, 256), 'prob': 0.5},
            {'type': 'SolarizeAdd', 'magnitude_key': 'magnitude', 'magnitude_range': (0, 110), 'thr': 128, 'prob': 0.5},
            {
                'type': 'ColorTransform',
                'magnitude_key': 'magnitude',
                'magnitude_range': (-0.9, 0.9),
                'prob': 0.5,
                'random_negative_prob': 0.0,
            },
            {'type': 'Contrast', 'magnitude_key': 'magnitude', 'magnitude_range': (-0.9, 0.9), 'prob': 0.5, 'random_negative_prob': 0.0},
            {'type': 'Brightness', 'magnitude_key': 'magnitude', 'magnitude_range': (-0.9, 0.9), 'prob': 0.5, 'random_negative_prob': 0.0},
            {'type': 'Sharpness', 'magnitude_key': 'magnitude', 'magnitude_range': (-0.9, 0.9), 'prob': 0.5, 'random_negative_prob': 0.0},
            {
                'type': 'Shear',
                'magnitude_key': 'magnitude',
                'magnitude_range': (0, 0.3),
                'pad_val': 0,
                'prob': 0.5,
                'direction': 'horizontal',
                'random_negative_prob': 0.5,
            },
            {
                'type': 'Shear',
                'magnitude_key': 'magnitude',
                'magnitude_range': (0, 0.3),
                'pad_val': 0,
                'prob': 0.5,
                'direction': 'vertical',
                'random_negative_prob': 0.5,
            },
            {'type': 'Cutout', 'magnitude_key': 'shape', 'magnitude_range': (1, 41), 'pad_val': 0, 'prob': 0.5},
            {
                'type': 'Translate',
                'magnitude_key': 'magnitude',
                'magnitude_range': (0, 0.3),
                'pad_val': 0,
                'prob': 0.5,
                'direction': 'horizontal',
                'random_negative_prob': 0.5,
                'interpolation': 'bicubic',
            },
            {
                'type': 'Translate',
                'magnitude_key': 'magnitude',
                'magnitude_range': (0, 0.3),
                'pad_val': 0,
                'prob': 0.5,
                'direction': 'vertical',
                'random_negative_prob': 0.5,
                'interpolation': 'bicubic',
            },
        ],
        'num_policies': 2,
        'magnitude_level': 12,
    },
    {'type': 'EfficientNetRandomCrop', 'scale': 224, 'backend': 'pillow'},
    {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal'},
    {'type': 'ColorJitter', 'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4},
    {
        'type': 'Lighting',
        'eigval': [55.4625, 4.794, 1.1475],
        'eigvec': [[-0.5836, -0.6948, 0.4203], [-0.5808, -0.0045, -0.814], [-0.5675, 0.7192, 0.4009]],
        'alphastd': 0.1,
        'to_rgb': False,
    },
    {'type': 'PackInputs'},
]
test_pipeline = [
    {'type': 'LoadImageFromFile'},
    {'type': 'EfficientNetCenterCrop', 'crop_size': 256, 'backend': 'pillow'},
    {'type': 'PackInputs'},
]
train_dataloader = {
    'batch_size': 64,
    'num_workers': 5,
    'dataset': {
        'type': 'ImageNet',
        'data_root': 'data/imagenet',
        'split': 'train',
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {
                'type': 'RandAugment',
                'policies': [
                    {'type': 'AutoContrast', 'prob': 0.5},
                    {'type': 'Equalize', 'prob': 0.5},
                    {'type': 'Invert', 'prob': 0.5},
                    {
                        'type': 'Rotate',
                        'magnitude_key': 'angle',
                        'magnitude_range': (0, 30),
                        'pad_val': 0,
                        'prob': 0.5,
                        'random_negative_prob': 0.5,
                    },
                    {'type': 'Posterize', 'magnitude_key': 'bits', 'magnitude_range': (0, 4), 'prob': 0.5},
                    {'type': 'Solarize', 'magnitude_key': 'thr', 'magnitude_range': (0, 256), 'prob': 0.5},
                    {'type': 'SolarizeAdd', 'magnitude_key': 'magnitude', 'magnitude_range': (0, 110), 'thr': 128, 'prob': 0.5},
                    {
                        'type': 'ColorTransform',
                        'magnitude_key': 'magnitude',
                        'magnitude_range': (-0.9, 0.9),
                        'prob': 0.5,
                        'random_negative_prob': 0.0,
                    },
                    {
                        'type': 'Contrast',
                        'magnitude_key': 'magnitude',
                        'magnitude_range': (-0.9, 0.9),
                        'prob': 0.5,
                        'random_negative_prob': 0.0,
                    },
                    {
                        'type': 'Brightness',
                        'magnitude_key': 'magnitude',
                        'magnitude_range': (-0.9, 0.9),
                        'prob': 0.5,
                        'random_negative_prob': 0.0,
                    },
                    {
                        'type': 'Sharpness',
                        'magnitude_key': 'magnitude',
                        'magnitude_range': (-0.9, 0.9),
                        'prob': 0.5,
                        'random_negative_prob': 0.0,
                    },
                    {
                        'type': 'Shear',
                        'magnitude_key': 'magnitude',
                        'magnitude_range': (0, 0.3),
                        'pad_val': 0,
                        'prob': 0.5,
                        'direction': 'horizontal',
                        'random_negative_prob': 0.5,
                    },
                    {
                        'type': 'Shear',
                        'magnitude_key': 'magnitude',
                        'magnitude_range': (0, 0.3),
                        'pad_val': 0,
                        'prob': 0.5,
                        'direction': 'vertical',
                        'random_negative_prob': 0.5,
                    },
                    {'type': 'Cutout', 'magnitude_key': 'shape', 'magnitude_range': (1, 41), 'pad_val': 0, 'prob': 0.5},
                    {
                        'type': 'Translate',
                        'magnitude_key': 'magnitude',
                        'magnitude_range': (0, 0.3),
                        'pad_val': 0,
                        'prob': 0.5,
                        'direction': 'horizontal',
                        'random_negative_prob': 0.5,
                        'interpolation': 'bicubic',
                    },
                    {
                        'type': 'Translate',
                        'magnitude_key': 'magnitude',
                        'magnitude_range': (0, 0.3),
                        'pad_val': 0,
                        'prob': 0.5,
                        'direction': 'vertical',
                        'random_negative_prob': 0.5,
                        'interpolation': 'bicubic',
                    },
                ],
                'num_policies': 2,
                'magnitude_level': 12,
            },
            {'type': 'EfficientNetRandomCrop', 'scale': 224, 'backend': 'pillow'},
            {'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal'},
            {'type': 'ColorJitter', 'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4},
            {
                'type': 'Lighting',
                'eigval': [55.4625, 4.794, 1.1475],
                'eigvec': [[-0.5836, -0.6948, 0.4203], [-0.5808, -0.0045, -0.814], [-0.5675, 0.7192, 0.4009]],
                'alphastd': 0.1,
                'to_rgb': False,
            },
            {'type': 'PackInputs'},
        ],
    },
    'sampler': {'type': 'DefaultSampler', 'shuffle': True},
}
val_dataloader = {
    'batch_size': 64,
    'num_workers': 5,
    'dataset': {
        'type': 'ImageNet',
        'data_root': 'data/imagenet',
        'split': 'val',
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'EfficientNetCenterCrop', 'crop_size': 256, 'backend': 'pillow'},
            {'type': 'PackInputs'},
        ],
    },
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
}
val_evaluator = {'type': 'Accuracy', 'topk': (1, 5)}
test_dataloader = {
    'batch_size': 64,
    'num_workers': 5,
    'dataset': {
        'type': 'ImageNet',
        'data_root': 'data/imagenet',
        'split': 'val',
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'EfficientNetCenterCrop', 'crop_size': 256, 'backend': 'pillow'},
            {'type': 'PackInputs'},
        ],
    },
    'sampler': {'type': 'DefaultSampler', 'shuffle': False},
}
test_evaluator = {'type': 'Accuracy', 'topk': (1, 5)}
default_scope = 'mmpretrain'
default_hooks = {
    'timer': {'type': 'IterTimerHook'},
    'logger': {'type': 'LoggerHook', 'interval': 100},
    'param_scheduler': {'type': 'ParamSchedulerHook'},
    'checkpoint': {'type': 'CheckpointHook', 'interval': 1},
    'sampler_seed': {'type': 'DistSamplerSeedHook'},
    'visualization': {'type': 'VisualizationHook', 'enable': False},
    'epoch_seed': {'type': 'pinas_mm.EpochSeedHook'},
}
env_cfg = {'cudnn_benchmark': False, 'mp_cfg': {'mp_start_method': 'fork', 'opencv_num_threads': 0}, 'dist_cfg': {'backend': 'nccl'}}
vis_backends = [{'type': 'LocalVisBackend'}]
visualizer = {'type': 'UniversalVisualizer', 'vis_backends': [{'type': 'LocalVisBackend'}]}
log_level = 'INFO'
load_from = None
resume = False
randomness = {'seed': 0, 'deterministic': False}
policies = [
    {'type': 'AutoContrast', 'prob': 0.5},
    {'type': 'Equalize', 'prob': 0.5},
    {'type': 'Invert', 'prob': 0.5},
    {'type': 'Rotate', 'magnitude_key': 'angle', 'magnitude_range': (0, 30), 'pad_val': 0, 'prob': 0.5, 'random_negative_prob': 0.5},
    {'type': 'Posterize', 'magnitude_key': 'bits', 'magnitude_range': (0, 4), 'prob': 0.5},
    {'type': 'Solarize', 'magnitude_key': 'thr', 'magnitude_range': (0, 256), 'prob': 0.5},
    {'type': 'SolarizeAdd', 'magnitude_key': 'magnitude', 'magnitude_range': (0, 110), 'thr': 128, 'prob': 0.5},
    {'type': 'ColorTransform', 'magnitude_key': 'magnitude', 'magnitude_range': (-0.9, 0.9), 'prob': 0.5, 'random_negative_prob': 0.0},
    {'type': 'Contrast', 'magnitude_key': 'magnitude', 'magnitude_range': (-0.9, 0.9), 'prob': 0.5, 'random_negative_prob': 0.0},
    {'type': 'Brightness', 'magnitude_key': 'magnitude', 'magnitude_range': (-0.9, 0.9), 'prob': 0.5, 'random_negative_prob': 0.0},
    {'type': 'Sharpness', 'magnitude_key': 'magnitude', 'magnitude_range': (-0.9, 0.9), 'prob': 0.5, 'random_negative_prob': 0.0},
    {
        'type': 'Shear',
        'magnitude_key': 'magnitude',
        'magnitude_range': (0, 0.3),
        'pad_val': 0,
        'prob': 0.5,
        'direction': 'horizontal',
        'random_negative_prob': 0.5,
    },
    {
        'type': 'Shear',
        'magnitude_key': 'magnitude',
        'magnitude_range': (0, 0.3),
        'pad_val': 0,
        'prob': 0.5,
        'direction': 'vertical',
        'random_negative_prob': 0.5,
    },
    {'type': 'Cutout', 'magnitude_key': 'shape', 'magnitude_range': (1, 41), 'pad_val': 0, 'prob': 0.5},
    {
        'type': 'Translate',
        'magnitude_key': 'magnitude',
        'magnitude_range': (0, 0.3),
        'pad_val': 0,
        'prob': 0.5,
        'direction': 'horizontal',
        'random_negative_prob': 0.5,
        'interpolation': 'bicubic',
    },
    {
        'type': 'Translate',
        'magnitude_key': 'magnitude',
        'magnitude_range': (0, 0.3),
        'pad_val': 0,
        'prob': 0.5,
        'direction': 'vertical',
        'random_negative_prob': 0.5,
        'interpolation': 'bicubic',
    },
]
EIGVAL = [55.4625, 4.794, 1.1475]
EIGVEC = [[-0.5836, -0.6948, 0.4203], [-0.5808, -0.0045, -0.814], [-0.5675, 0.7192, 0.4009]]
optim_wrapper = {
    'optimizer': {'type': 'SGD', 'lr': 0.8, 'momentum': 0.9, 'weight_decay': 0.0001},
    'paramwise_cfg': {'bias_decay_mult': 0.0, 'norm_decay_mult': 0.0},
}
param_scheduler = [
    {'type': 'LinearLR', 'start_factor': 1e-06, 'by_epoch': True, 'begin': 0, 'end': 5, 'convert_to_iter_based': True},
    {'type': 'CosineAnnealingLR', 'T_max': 265, 'by_epoch': True, 'begin': 5, 'end': 270},
]
train_cfg = {'by_epoch': True, 'max_epochs': 270}
auto_scale_lr = {'base_batch_size': 2048}
custom_imports = {'imports': ['pinas_mm']}
searched_backbone = {
    'type': 'pinas_mm.SearchableResNeSt',
    'arch': [3, 3, 3, 3, 1, 1, 3, 3, 3, 0, 0, 1, 1, 0, 2, 1],
    'out_indices': (0, 1, 2, 3),
    'init_cfg': {'type': 'Pretrained', 'checkpoint': 'set model.backbone.init_cfg.checkpoint', 'prefix': 'backbone.'},
}
val_cfg = {}
test_cfg = {}
