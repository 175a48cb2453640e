_base_ = [
    '../_base_/models/finetune_macro.py',
    '../_base_/datasets/digits.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=10))
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='RandomCrop', crop_size=32, padding=4),
            _base_.noise,
            dict(type='PackInputs'),
        ]
    )
)
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=5, by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=5)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(logger=dict(interval=17), checkpoint=dict(interval=5, max_keep_ckpts=1))
auto_scale_lr = dict(base_batch_size=64)
