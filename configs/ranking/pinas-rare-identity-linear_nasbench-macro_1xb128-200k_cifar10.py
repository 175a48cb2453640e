_base_ = './pinas-linear_nasbench-macro_1xb128-200k_cifar10.py'

custom_hooks = [dict(type='pinas_mm.ArchSamplingHook', probabilities=[0.1, 0.45, 0.45])]
