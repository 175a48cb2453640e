_base_ = './uniform_resnest50_1xb128-200k_cifar10.py'

# One arch from scratch, for tools/make_truth.py.
custom_hooks = []
val_cfg = dict(_delete_=True)
