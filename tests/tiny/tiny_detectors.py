"""Detectors of mmdet on a small supernet, for images of about 64 pixels."""

STRIDES = [2, 4, 8]
CODER = dict(type='DeltaXYWHBBoxCoder')
NMS = dict(type='nms', iou_threshold=0.7)
# Far above what an image of 64 x 64 pixels has of one and of the other.
PROPOSALS, DETECTIONS = 300, 20


def roi_extractor(size):
    return dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=size),
        out_channels=16,
        featmap_strides=STRIDES,
    )


BBOX_HEAD = dict(
    type='Shared2FCBBoxHead',
    in_channels=16,
    fc_out_channels=12,
    roi_feat_size=3,
    num_classes=2,
    bbox_coder=CODER,
)
MASK_HEAD = dict(
    type='FCNMaskHead',
    num_convs=1,
    roi_feat_size=4,
    in_channels=16,
    conv_out_channels=8,
    num_classes=2,
)


def faster_rcnn(**roi_head):
    return dict(
        type='FasterRCNN',
        backbone=dict(
            type='pinas_mm.SearchableMacroNet', widen_factor=0.125, out_indices=(0, 1, 2)
        ),
        neck=dict(type='FPN', in_channels=[8, 16, 32], out_channels=16, num_outs=3),
        rpn_head=dict(
            type='RPNHead',
            in_channels=16,
            feat_channels=16,
            anchor_generator=dict(
                type='AnchorGenerator', scales=[4], ratios=[0.5, 1.0], strides=STRIDES
            ),
            bbox_coder=CODER,
        ),
        roi_head=dict(
            dict(type='StandardRoIHead', bbox_roi_extractor=roi_extractor(3), bbox_head=BBOX_HEAD),
            **roi_head,
        ),
        train_cfg=None,
        test_cfg=dict(
            rpn=dict(nms_pre=400, max_per_img=PROPOSALS, nms=NMS, min_bbox_size=0),
            rcnn=dict(score_thr=0.05, nms=NMS, max_per_img=DETECTIONS, mask_thr_binary=0.5),
        ),
    )


def mask_rcnn():
    return faster_rcnn(mask_roi_extractor=roi_extractor(4), mask_head=MASK_HEAD)


def cascade_mask_rcnn():
    """With three stages."""
    return faster_rcnn(
        type='CascadeRoIHead',
        num_stages=3,
        stage_loss_weights=[1, 1, 1],
        bbox_head=[BBOX_HEAD] * 3,
        mask_roi_extractor=roi_extractor(4),
        mask_head=MASK_HEAD,
    ) | dict(type='CascadeRCNN')


def yolact():
    """One stage with instance masks; nothing is detected, since no score is above 1."""
    base = faster_rcnn()
    return dict(
        type='YOLACT',
        backbone=base['backbone'],
        neck=base['neck'],
        bbox_head=dict(
            type='YOLACTHead',
            num_classes=2,
            in_channels=16,
            feat_channels=8,
            num_protos=4,
            anchor_generator=base['rpn_head']['anchor_generator'],
            bbox_coder=CODER,
        ),
        mask_head=dict(
            type='YOLACTProtonet',
            in_channels=16,
            proto_channels=(8, None, 8, 4),
            proto_kernel_sizes=(3, -2, 3, 1),
            num_protos=4,
            num_classes=2,
        ),
        test_cfg=dict(nms_pre=50, score_thr=1.1, iou_thr=0.5, top_k=20, max_per_img=10)
        | dict(mask_thr=0.5, mask_thr_binary=0.5, min_bbox_size=0),
    )
