# The learning of configs/pinas on the same folder for a network without paths: MoCo, the loss that
# Pi-NAS crosses between its two paths. Views of 64 pixels, since this network's output stride is
# 32.
_base_ = '../../configs/pinas/pinas_nasbench-macro_1xb128-coslr-4e_cifar10.py'
model = dict(
    _delete_=True,
    type='MoCo',
    queue_len=1024,
    feat_dim=128,
    momentum=0.03,
    backbone=dict(
        type='mmdet.ResNet',
        depth=18,
        stem_channels=16,
        base_channels=16,
        norm_eval=False,
        out_indices=(3,),
    ),
    neck=dict(
        type='NonLinearNeck',
        in_channels=128,
        hid_channels=320,
        out_channels=128,
        norm_cfg=dict(type='BN1d'),
    ),
    head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.2),
)
view = [dict(type='RandomResizedCrop', scale=64, crop_ratio_range=(0.2, 1.0)), *_base_.view[1:]]
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='MultiView', num_views=[2], transforms=[view]),
                dict(type='PackInputs'),
            ]
        )
    )
)
custom_hooks = []
# Plain data parallel, if any: every parameter is used in every step.
model_wrapper_cfg = None
