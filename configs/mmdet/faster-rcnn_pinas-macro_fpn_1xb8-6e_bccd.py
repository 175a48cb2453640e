# Blood cells (BCCD in COCO format, 205 training images) at 320x240: small enough for a CPU. The
# searched subnet is that of the CIFAR-10 search; docs/results/transfer.md compares it with networks
# of equal MACs.
_base_ = __import__('pinas_mm').config_path('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
custom_imports = dict(imports=['pinas_mm'])

model = dict(
    backbone=dict(
        _delete_=True,
        type='pinas_mm.SearchableMacroNet',
        arch='work_dirs/search/subnet.yaml',
        out_indices=(1, 2),
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/search/subnet.pth', prefix='backbone.'
        ),
    ),
    # Its stages of stride 4 and 8, and two pooled from these.
    neck=dict(in_channels=[32, 64], out_channels=64, num_outs=4),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        # Boxes of 16, 32, 64 and 128 pixels: from platelets to white cells.
        anchor_generator=dict(scales=[4], strides=[4, 8, 16, 32]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=64,
            featmap_strides=[4, 8, 16, 32],
            finest_scale=28,
            roi_layer=dict(sampling_ratio=2),
        ),
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=3),
    ),
    # Most of a step on a CPU would be NMS over proposals and RoIAlign.
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=300), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)

data_root = 'data/bccd/'
metainfo = dict(classes=('RBC', 'WBC', 'Platelets'))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
part = dict(data_root=data_root, metainfo=metainfo)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        part,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    dataset=dict(
        part, ann_file='annotations/val.json', data_prefix=dict(img='val/'), pipeline=test_pipeline
    ),
)
test_dataloader = dict(
    batch_size=8,
    dataset=dict(
        part,
        ann_file='annotations/test.json',
        data_prefix=dict(img='test/'),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = dict(ann_file=data_root + 'annotations/test.json')

# AdamW, since half of the runs compared start from random weights.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10),
)
train_cfg = dict(max_epochs=6)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=6, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1), logger=dict(interval=10))
auto_scale_lr = dict(base_batch_size=8)
custom_hooks = [dict(type='pinas_mm.PredictionPictureHook', num_images=4, scale=1)]
