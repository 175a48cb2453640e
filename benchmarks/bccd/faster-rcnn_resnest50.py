# mmdet's ResNeSt-50 at a sixth of its width: within 7 % of the MACs of the searched subnets, 204 M
# at 320x240.
_base_ = '../../configs/mmdet/faster-rcnn_pinas-macro_fpn_1xb8-6e_bccd.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNeSt',
        depth=50,
        stem_channels=10,
        base_channels=10,
        avg_down_stride=True,
        norm_eval=False,
    ),
    neck=dict(in_channels=[40, 80, 160, 320]),
)
