# The published learning stage (Peng et al., ICCV 2021): 100 epochs without labels.
_base_ = [
    '../_base_/models/pinas_resnest50.py',
    '../_base_/datasets/imagenet_split.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(
    _delete_=True,
    type='SelfSupDataPreprocessor',
    mean=_base_.data_preprocessor.mean,
    std=_base_.data_preprocessor.std,
    to_rgb=True,
)

view = [
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.2, 1.0), backend='pillow'),
    dict(
        type='RandomApply',
        transforms=[
            dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.4)
        ],
        prob=0.8,
    ),
    dict(
        type='RandomGrayscale', prob=0.2, keep_channels=True, channel_weights=(0.114, 0.587, 0.2989)
    ),
    dict(type='GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf', prob=0.5),
    dict(type='RandomFlip', prob=0.5),
]
train_dataloader = dict(
    batch_size=24,
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        dataset=dict(
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='MultiView', num_views=[4], transforms=[view]),
                dict(type='PackInputs'),
            ]
        )
    ),
)

optim_wrapper = dict(
    type='pinas_mm.AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=100, by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
custom_hooks = [
    dict(
        type='pinas_mm.KNNHook',
        bank_dataloader=dict(
            _base_.val_dataloader,
            collate_fn=dict(type='default_collate'),
            dataset=dict(
                _base_.learning_part,
                dataset=dict(_base_.whole_train_set, pipeline=_base_.test_pipeline),
            ),
        ),
        query_dataloader=dict(_base_.val_dataloader, collate_fn=dict(type='default_collate')),
        bank_samples=50000,
        interval=10,
    )
]
# No validation loop: the kNN hook watches learning.
val_cfg = val_dataloader = val_evaluator = None
test_cfg = test_dataloader = test_evaluator = None
auto_scale_lr = dict(base_batch_size=192)
