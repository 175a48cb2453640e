# As published: output stride 8, an auxiliary FCN head and the semantic encoding loss. The schedule
# is mmseg's.
_base_ = [
    __import__('pinas_mm').config_path(
        'mmseg::deeplabv3/deeplabv3_r50-d8_4xb4-160k_ade20k-512x512.py'
    ),
    '../_base_/models/searched_resnest50-d8.py',
]

model = dict(
    pretrained=None,
    backbone=dict(_delete_=True, norm_cfg=_base_.norm_cfg, **_base_.searched_backbone),
    auxiliary_head=[
        _base_.model.auxiliary_head,
        dict(type='pinas_mm.SemanticEncodingHead', in_channels=2048, num_classes=150),
    ],
)
