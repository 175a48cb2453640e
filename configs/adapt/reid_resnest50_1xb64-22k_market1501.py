_base_ = [
    '../_base_/models/reid_resnest50.py',
    '../_base_/datasets/market1501.py',
    '../_base_/schedules/reid_22k.py',
    '../_base_/adapt.py',
    '../_base_/default_runtime.py',
]
default_scope = 'mmdet'

model = dict(head=dict(num_classes=651))  # persons: 751, without those held out
search_loop = dict(score='reid/mAP', input_size=(256, 128))
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=_base_.train_cfg.val_interval, max_keep_ckpts=1)
)
