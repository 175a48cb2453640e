_base_ = [
    '../ranking/uniform_shufflenetv2_1xb128-200k_cifar10.py',
    '../_base_/schedules/dsnas_200k.py',
]

optim_wrapper = dict(**_base_.dsnas_optim_wrapper)
custom_hooks = [_base_.dsnas_hook]
val_cfg = dict(_delete_=True)
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=1))
second_stage = dict(model=dict(head=dict(dropout=0.0)))  # as published
