_base_ = './pinas-rare-identity-linear_nasbench-macro_1xb128-200k_cifar10.py'

# Every candidate as often as another, as published.
custom_hooks = [dict(type='pinas_mm.ArchSamplingHook')]
