_base_ = './moco_resnet18_cifar10.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdet.ResNeSt',
        depth=50,
        stem_channels=10,
        base_channels=10,
        avg_down_stride=True,
        norm_eval=False,
        out_indices=(3,),
    ),
    neck=dict(in_channels=320),
)
