# An EfficientNet-Lite0 with ImageNet weights as the backbone of a detector of blood cells, made
# cheaper for them (docs/tutorials/own_detector.md). tools/convert.py makes the checkpoint
# (docs/tutorials/pretrained_supernet.md).
_base_ = ['../mmdet/faster-rcnn_pinas-macro_fpn_1xb8-6e_bccd.py', '../_base_/adapt_elastic.py']

model = dict(
    # As the published weights were trained.
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    backbone=dict(
        _delete_=True,
        type='pinas_mm.ElasticEfficientNetLite0',
        out_indices=(1, 2, 4, 6),  # strides 4, 8, 16 and 32
        sort_channels=True,
        init_cfg=dict(
            type='Pretrained', checkpoint='data/efficientnet_lite0.pth', prefix='backbone.'
        ),
    ),
    neck=dict(in_channels=[24, 40, 112, 320]),
)
# Four paths a step: two thirds of the subnet's epochs are most of the time. It stops before its
# learning rate has fallen, since the subnet goes on from there.
supernet_stage = dict(train_cfg=dict(max_epochs=4))
search_loop = dict(num_archs=60, input_size=(256, 320), score='coco/bbox_mAP')
arch_evaluation = dict(calibration_batches=8)
