_base_ = __import__('pinas_mm').config_path('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py')
custom_imports = dict(imports=['pinas_mm'])

# The found backbone; both files come from the search. Digits are 25 to 48 pixels high: anchors of
# 24 and 48 (and 96) on maps of strides 4 and 8, and RoIs below 48 pixels from the finer map.
channels = 32
rois = dict(featmap_strides=[4, 8], out_channels=channels, finest_scale=24)
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, pad_size_divisor=16),
    backbone=dict(
        _delete_=True,
        type='pinas_mm.SearchableMacroNet',
        arch='work_dirs/search/subnet.yaml',
        out_indices=(1, 2),
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/search/subnet.pth', prefix='backbone.'
        ),
    ),
    neck=dict(in_channels=[32, 64], out_channels=channels, num_outs=3),
    rpn_head=dict(
        in_channels=channels,
        feat_channels=channels,
        anchor_generator=dict(scales=[6], strides=[4, 8, 16], ratios=[1.0, 1.6]),
    ),
    roi_head=dict(
        bbox_roi_extractor=rois,
        bbox_head=dict(in_channels=channels, fc_out_channels=256, num_classes=10),
        mask_roi_extractor=rois,
        mask_head=dict(
            in_channels=channels, conv_out_channels=channels, num_convs=2, num_classes=10
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=32, pos_fraction=0.5)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=50), rcnn=dict(max_per_img=20)),
)

root = 'data/digit_scenes/coco/'
metainfo = dict(classes=tuple('0123456789'))
load = dict(type='LoadImageFromFile')
resize = dict(type='Resize', scale=(96, 96))
annotations = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
train_pipeline = [load, annotations, resize, dict(type='PackDetInputs')]
test_pipeline = [
    load,
    resize,
    annotations,
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    batch_size=8, dataset=dict(data_root=root, metainfo=metainfo, pipeline=train_pipeline), **loader
)
val_dataloader = dict(
    batch_size=10, dataset=dict(data_root=root, metainfo=metainfo, pipeline=test_pipeline), **loader
)
test_dataloader = dict(
    batch_size=10,
    dataset=dict(
        data_root=root,
        metainfo=metainfo,
        pipeline=test_pipeline,
        ann_file='annotations/instances_test2017.json',
        data_prefix=dict(img='test2017/'),
    ),
    **loader,
)
val_evaluator = dict(ann_file=root + 'annotations/instances_val2017.json')
test_evaluator = dict(ann_file=root + 'annotations/instances_test2017.json')

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10),
)
train_cfg = dict(max_epochs=5, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=5, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=5, max_keep_ckpts=1))
auto_scale_lr = dict(base_batch_size=8)
custom_hooks = [dict(type='pinas_mm.PredictionPictureHook')]
