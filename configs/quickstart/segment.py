_base_ = __import__('pinas_mm').config_path('mmseg::upernet/upernet_r50_4xb4-80k_ade20k-512x512.py')
custom_imports = dict(imports=['pinas_mm', 'pinas_mm.datasets.digit_scene_datasets'])

# The found backbone: its stages of stride 4 and 8, and its tail; both files come from the search.
norm_cfg = dict(type='BN', requires_grad=True)
# Six of seven pixels are background.
class_weight = [0.2] + [1.0] * 10
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, size=(96, 96)),
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='pinas_mm.SearchableMacroNet',
        arch='work_dirs/search/subnet.yaml',
        out_indices=(1, 2, 3),
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/search/subnet.pth', prefix='backbone.'
        ),
    ),
    decode_head=dict(
        in_channels=[32, 64, 320],
        in_index=[0, 1, 2],
        channels=64,
        num_classes=11,
        norm_cfg=norm_cfg,
        loss_decode=dict(class_weight=class_weight),
    ),
    auxiliary_head=dict(
        in_channels=64,
        in_index=1,
        channels=32,
        num_classes=11,
        norm_cfg=norm_cfg,
        loss_decode=dict(class_weight=class_weight),
    ),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs'),
]
data = dict(
    type='pinas_mm.DigitScenesADE20K', data_root='data/digit_scenes/ade20k', pipeline=train_pipeline
)
train_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False, dataset=data)
val_dataloader = dict(batch_size=10, num_workers=0, persistent_workers=False, dataset=data)
test_dataloader = dict(
    batch_size=10,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_prefix=dict(img_path='images/test', seg_map_path='annotations/test'), **data),
)

optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=3e-3, weight_decay=0.01))
train_cfg = dict(max_iters=700, val_interval=700)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=700, by_epoch=False),
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=700, max_keep_ckpts=1))
custom_hooks = [dict(type='pinas_mm.PredictionPictureHook')]
auto_scale_lr = dict(enable=False, base_batch_size=8)
