# The published supernet of single path one shot (Guo et al., ECCV 2020): 120 epochs, batches of
# 1,024, a rate that falls linearly from 0.5.
_base_ = [
    '../_base_/models/supernet_shufflenetv2.py',
    '../_base_/datasets/imagenet_split.py',
    'mmpretrain::_base_/schedules/imagenet_bs1024_linearlr_bn_nowd.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=128)
param_scheduler = [
    dict(type='PolyLR', eta_min=0, by_epoch=False)
]  # without the warm-up of mmpretrain's schedule
train_cfg = dict(max_epochs=120)
val_cfg = dict(type='pinas_mm.ArchValLoop')
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
