# An EfficientNet-Lite0 with ImageNet weights made cheaper for any folder of images
# (docs/tutorials/own_detector.md). tools/convert.py makes the checkpoint
# (docs/tutorials/pretrained_supernet.md).
_base_ = [
    '../_base_/datasets/image_folder_96.py',
    '../_base_/default_runtime.py',
    '../_base_/adapt_elastic.py',
]

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='pinas_mm.ElasticEfficientNetLite0',
        sort_channels=True,
        init_cfg=dict(
            type='Pretrained', checkpoint='data/efficientnet_lite0.pth', prefix='backbone.'
        ),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=None, in_channels=1280, topk=(1,)),
)
# As the published weights were trained.
data_preprocessor = dict(mean=[127.0] * 3, std=[128.0] * 3)
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05))
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=6, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(by_epoch=True, max_epochs=6)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
# Four paths a step. It stops before its learning rate has fallen, since the subnet goes on from
# there.
supernet_stage = dict(strategy=dict(type='pinas_mm.SandwichStrategy'), train_cfg=dict(max_epochs=3))
# Of a few hundred held-out images an accuracy has few values; the likelihood of their labels orders
# archs better (docs/ranking.md).
search_loop = dict(num_archs=60, score='score/neg_loss', score_samples=500, input_size=96)
arch_evaluation = dict(calibration_dataloader=dict(batch_size=64))
