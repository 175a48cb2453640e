# Only the backbone changes; frozen as mmdet's own.
_base_ = [
    __import__('pinas_mm').config_path('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'),
    '../_base_/models/searched_resnest50.py',
]

model = dict(
    backbone=dict(_delete_=True, frozen_stages=1, norm_eval=True, **_base_.searched_backbone)
)
