_base_ = ['../_base_/models/linear_macro.py', '../_base_/datasets/digits.py', '../_base_/default_runtime.py']

optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.5, momentum=0.9, weight_decay=0.))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=20, by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=5)
val_cfg = dict(type='pinas_mm.ArchValLoop', **_base_.arch_evaluation)
test_cfg = dict()
default_hooks = dict(logger=dict(interval=17), checkpoint=dict(interval=20, max_keep_ckpts=1))
auto_scale_lr = dict(base_batch_size=64)
