_base_ = '../pinas/pinas_nasbench-macro_1xb128-coslr-4e_cifar10.py'

# Nine tenths of the image passes; the linear classifier has the rest.
iterations = 200_000 * 9 // 10 * 3 // 8 // 128
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=iterations, by_epoch=False)]
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=iterations, val_interval=10**9)
default_hooks = dict(logger=dict(interval=100), checkpoint=dict(by_epoch=False, interval=-1))
custom_hooks = []
