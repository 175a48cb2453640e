_base_ = './uniform_nasbench-macro_1xb128-200k_cifar10.py'

# Identities, which have no weights to train, in a tenth of the positions instead of a third; and no
# branch that starts as an identity.
model = dict(backbone=dict(zero_init_residual=False))
custom_hooks = [dict(type='pinas_mm.ArchSamplingHook', probabilities=[0.1, 0.45, 0.45])]
