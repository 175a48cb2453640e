_base_ = './uniform_nasbench-macro_1xb128-200k_cifar10.py'

model = dict(_delete_=True, type='pinas_mm.SupervisedPiStrategy', model=_base_.model)
custom_hooks = []  # the strategy draws the paths
iterations = _base_.iterations * 3 // 8
param_scheduler = [dict(type='CosineAnnealingLR', T_max=iterations, by_epoch=False)]
train_cfg = dict(max_iters=iterations)
