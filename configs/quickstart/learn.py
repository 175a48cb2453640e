_base_ = [
    '../_base_/models/pinas_macro.py',
    '../_base_/datasets/digits.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(
    _delete_=True, type='SelfSupDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3
)

# The queue is short beside the 1,097 images, or it would hold each image's own key.
model = dict(queue_len=256)
train_dataloader = dict(
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        pipeline=[
            # Views of a digit stand at other places among other pieces.
            dict(type='MultiView', num_views=[4], transforms=[[_base_.clutter]]),
            dict(type='PackInputs'),
        ]
    ),
)

optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.12, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=30, by_epoch=True)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=30)
default_hooks = dict(logger=dict(interval=17), checkpoint=dict(interval=30, max_keep_ckpts=1))
custom_hooks = [
    dict(
        type='pinas_mm.KNNHook',
        bank_dataloader=dict(_base_.train_dataloader, collate_fn=dict(type='default_collate')),
        query_dataloader=dict(_base_.val_dataloader, collate_fn=dict(type='default_collate')),
        interval=15,
    )
]
# No validation loop: the kNN hook watches learning.
val_cfg = val_dataloader = val_evaluator = None
test_cfg = test_dataloader = test_evaluator = None
auto_scale_lr = dict(base_batch_size=64)
