# mmdet's ResNet-18 at a quarter of its width: within 7 % of the MACs of the searched subnets, 210 M
# at 320x240.
_base_ = '../../configs/mmdet/faster-rcnn_pinas-macro_fpn_1xb8-6e_bccd.py'
model = dict(
    backbone=dict(
        _delete_=True, type='ResNet', depth=18, stem_channels=16, base_channels=16, norm_eval=False
    ),
    neck=dict(in_channels=[16, 32, 64, 128]),
)
