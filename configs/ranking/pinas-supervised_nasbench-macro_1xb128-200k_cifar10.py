_base_ = './uniform_nasbench-macro_1xb128-200k_cifar10.py'

# A teacher that keeps up with a few hundred steps: in trials 0.9 ordered archs better than 0.5 and
# 0.99 (docs/results/ranking_trials.md).
model = dict(_delete_=True, type='pinas_mm.SupervisedPiStrategy', model=_base_.model, momentum=0.9)
custom_hooks = []  # the strategy draws the paths
iterations = _base_.iterations * 3 // 8
param_scheduler = [dict(type='CosineAnnealingLR', T_max=iterations, by_epoch=False)]
train_cfg = dict(max_iters=iterations)
