_base_ = [
    __import__('pinas_mm').config_path(
        'mmdet::resnest/cascade-mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py'
    ),
    '../_base_/models/searched_resnest50.py',
]

model = dict(
    backbone=dict(
        _delete_=True, norm_cfg=_base_.norm_cfg, frozen_stages=-1, **_base_.searched_backbone
    )
)
