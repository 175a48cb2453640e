# As published: SyncBN everywhere, also in the neck, nothing frozen, and detectron2's schedule of
# 90,000 iterations at 16 images: a warm-up of 1,000, steps at 60,000 and 80,000, no weight decay on
# norms.
_base_ = [
    __import__('pinas_mm').config_path(
        'mmdet::resnest/mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py'
    ),
    '../_base_/models/searched_resnest50.py',
]

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(
        _delete_=True, norm_cfg=_base_.norm_cfg, frozen_stages=-1, **_base_.searched_backbone
    ),
    neck=dict(norm_cfg=_base_.norm_cfg),
)
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=90000, val_interval=6000)
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=1000),
    dict(type='MultiStepLR', by_epoch=False, milestones=[60000, 80000], gamma=0.1),
]
optim_wrapper = dict(paramwise_cfg=dict(norm_decay_mult=0))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=6000, max_keep_ckpts=3))
log_processor = dict(by_epoch=False)
