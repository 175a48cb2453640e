_base_ = [
    '../_base_/models/pinas_macro.py',
    '../_base_/datasets/image_folder_32.py',
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
    dict(type='RandomResizedCrop', scale=32, crop_ratio_range=(0.2, 1.0)),
    dict(
        type='RandomApply',
        transforms=[
            dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
        ],
        prob=0.8,
    ),
    dict(type='RandomGrayscale', prob=0.2, keep_channels=True),
    dict(type='RandomFlip', prob=0.5),
]
train_dataloader = dict(
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

optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.12, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=4, by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=4)
default_hooks = dict(logger=dict(interval=70), checkpoint=dict(interval=1, max_keep_ckpts=2))
custom_hooks = [
    dict(
        type='pinas_mm.KNNHook',
        bank_dataloader=dict(
            _base_.val_dataloader,
            collate_fn=dict(type='default_collate'),
            dataset=dict(
                _base_.train_dataloader.dataset,
                dataset=dict(_base_.whole_train_set, pipeline=_base_.test_pipeline),
            ),
        ),
        query_dataloader=dict(_base_.val_dataloader, collate_fn=dict(type='default_collate')),
        bank_samples=4000,
        interval=2,
    )
]
# No validation loop: the kNN hook watches learning.
val_cfg = val_dataloader = val_evaluator = None
test_cfg = test_dataloader = test_evaluator = None
auto_scale_lr = dict(base_batch_size=128)
