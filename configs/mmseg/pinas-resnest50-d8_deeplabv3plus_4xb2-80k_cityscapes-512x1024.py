_base_ = [
    __import__('pinas_mm').config_path(
        'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb2-80k_cityscapes-512x1024.py'
    ),
    '../_base_/models/searched_resnest50-d8.py',
]

model = dict(
    pretrained=None,
    backbone=dict(_delete_=True, norm_cfg=_base_.norm_cfg, **_base_.searched_backbone),
)
