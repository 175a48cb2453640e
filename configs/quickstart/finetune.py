_base_ = [
    '../_base_/models/finetune_macro.py',
    '../_base_/datasets/digits.py',
    '../_base_/default_runtime.py',
]

# From random weights (init_cfg=None): what a minute or two of learning leaves is a worse start on
# these digits (docs/design.md).
model = dict(backbone=dict(init_cfg=None), head=dict(num_classes=10))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=4e-3, weight_decay=0.05))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=15, by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=15, val_interval=15)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(logger=dict(interval=17), checkpoint=dict(interval=15, max_keep_ckpts=1))
auto_scale_lr = dict(base_batch_size=64)
