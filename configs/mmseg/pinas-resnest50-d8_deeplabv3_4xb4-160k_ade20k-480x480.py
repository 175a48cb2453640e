# As published: output stride 8, an auxiliary FCN head, 256 channels in both heads, corners aligned,
# longer sides of 260 to 1,040 pixels, crops of 480. mmseg's are the schedule, the distortion of
# colours and the join of the ASPP head: one 3x3 convolution (published: a 1x1 with dropout of 0.5,
# then a 3x3).
_base_ = [
    __import__('pinas_mm').config_path(
        'mmseg::deeplabv3/deeplabv3_r50-d8_4xb4-160k_ade20k-512x512.py'
    ),
    '../_base_/models/searched_resnest50-d8.py',
]

crop_size = (480, 480)
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    pretrained=None,
    backbone=dict(_delete_=True, norm_cfg=_base_.norm_cfg, **_base_.searched_backbone),
    decode_head=dict(channels=256, align_corners=True),
    auxiliary_head=dict(align_corners=True),
)
train_pipeline = [
    dict(step, scale=(520, 520))  # of the longer side, times 0.5 to 2
    if step['type'] == 'RandomResize'
    else dict(step, crop_size=crop_size)
    if step['type'] == 'RandomCrop'
    else step
    for step in _base_.train_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
