_base_ = [
    '../_base_/models/linear_macro.py',
    '../_base_/datasets/digits.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=10))
# Adam: the published SGD rate of 30 is for a trained ImageNet supernet's features, and other
# features need another rate.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=0.01))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=10, by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=5)
val_cfg = dict(type='pinas_mm.ArchValLoop')
test_cfg = dict()
default_hooks = dict(logger=dict(interval=17), checkpoint=dict(interval=10, max_keep_ckpts=1))
auto_scale_lr = dict(base_batch_size=64)
