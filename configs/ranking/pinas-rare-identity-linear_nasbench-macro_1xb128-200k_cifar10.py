_base_ = '../pinas/pinas_nasbench-macro-linear_1xb128-coslr-3e_cifar10.py'

# A tenth of the image passes: the backbone is frozen, so each is three forward passes.
iterations = 200_000 // 10 * 3 // 128
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=iterations, by_epoch=False)]
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=iterations, val_interval=10**9)
default_hooks = dict(logger=dict(interval=100), checkpoint=dict(by_epoch=False, interval=-1))
