# A detector of mmdet with a ResNet-50, trained on COCO by the 1x schedule, made cheaper
# (docs/tutorials/own_detector.md). Its ResNet-50 becomes a supernet, which is searched by box mAP
# on 5,000 images held out of train2017; the part that is found is trained by mmdet's schedule.
# val2017 is read once, at the end.
_base_ = [
    __import__('pinas_mm').config_path('mmdet::_base_/datasets/coco_detection.py'),
    __import__('pinas_mm').config_path('mmdet::_base_/schedules/schedule_1x.py'),
    __import__('pinas_mm').config_path('mmdet::_base_/default_runtime.py'),
    './models/elastic_resnet50.py',
    './adapt_elastic.py',
]
custom_imports = dict(imports=['pinas_mm'])

held_out = 5000
# The subnet keeps mmdet's norms and frozen stages.
elastic_backbone = dict(
    norm_cfg=dict(type='BN', requires_grad=True), norm_eval=True, frozen_stages=1
)
# The supernet starts from a trained network, orders archs and is the start of the subnet, which has
# mmdet's whole schedule: half of that lets it come to rest. A step sums the gradients of four
# paths: a quarter of the learning rate. Norms see the images of all GPUs.
warm_up, decay = _base_.param_scheduler
supernet_stage = dict(
    model=dict(backbone=dict(norm_cfg=dict(type='SyncBN'))),
    optim_wrapper=dict(optimizer=dict(lr=_base_.optim_wrapper.optimizer.lr / 4)),
    param_scheduler=[warm_up, dict(decay, end=6, milestones=[4, 5])],
    train_cfg=dict(max_epochs=6),
)
# 60 % of the ResNet-50's 79.2e9 MACs. To limit the measured latency (ms) instead: these two keys,
# latency_table='latency.json' (a file of tools/latency.py) and constraints=dict(latency=12.5).
search_loop = dict(
    input_size=(800, 1216), score='coco/bbox_mAP', constraints=dict(backbone_macs=47.5e9)
)
