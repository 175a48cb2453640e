_base_ = '../ranking/uniform_shufflenetv2_1xb128-200k_cifar10.py'

# One arch from scratch: what DSNAS is compared with.
model = dict(backbone=dict(arch='work_dirs/search/subnet.yaml'))
custom_hooks = []
val_cfg = dict(_delete_=True)
