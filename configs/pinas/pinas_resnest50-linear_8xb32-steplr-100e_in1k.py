# The published linear classifier over uniformly sampled archs (there in half precision: `--amp`).
_base_ = [
    '../_base_/models/linear_resnest50.py',
    '../_base_/datasets/imagenet_split.py',
    '../_base_/default_runtime.py',
]

optim_wrapper = dict(optimizer=dict(type='SGD', lr=30.0, momentum=0.9, weight_decay=0.0))
param_scheduler = [dict(type='MultiStepLR', milestones=[60, 80], gamma=0.1, by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=1)
val_cfg = dict(type='pinas_mm.ArchValLoop')
test_cfg = dict()
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
auto_scale_lr = dict(base_batch_size=256)
