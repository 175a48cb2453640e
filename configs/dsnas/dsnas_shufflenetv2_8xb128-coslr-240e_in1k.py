# As published (Hu et al., CVPR 2020, and the authors' code): 240 epochs of batches of 1,024, of
# which up to 80 search, the first 15 without moving the logits.
_base_ = [
    '../_base_/models/supernet_shufflenetv2.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs1024_linearlr_bn_nowd.py',
    '../_base_/default_runtime.py',
]

# At so large an eps a layer's variance at the start matters: that of a depthwise convolution is by
# its fan-in (published is another way).
model = dict(
    backbone=dict(
        norm_cfg=dict(type='BN', eps=1e-2),
        init_cfg=[dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu')],
    )
)
custom_hooks = [dict(type='pinas_mm.DSNASHook', search=80, warm_up=15)]
second_stage = dict(model=dict(head=dict(dropout=0.0)))
# The weight of MACs above the limit is the wrapper's default: as strong as the published 1e-6 on 8
# GPUs, whatever their number here.
optim_wrapper = dict(type='pinas_mm.DSNASOptimWrapper', macs_limit=290e6, input_size=224)
# The rate rises from 1e-4 to 0.5 in 5 epochs. The search follows a cosine that would end after
# 240; the second stage starts another, from the rate reached to 0 at the end. It starts at epoch
# 80, also where the search ends sooner (the authors' code always searches 80 epochs).
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-4 / 0.5, end=5, by_epoch=True, convert_to_iter_based=True
    ),
    dict(
        type='CosineAnnealingLR',
        T_max=235,
        begin=5,
        end=80,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        T_max=160,
        begin=80,
        end=240,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=240, val_begin=81)  # the supernet is not validated
train_dataloader = dict(batch_size=128, num_workers=8, drop_last=True)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
