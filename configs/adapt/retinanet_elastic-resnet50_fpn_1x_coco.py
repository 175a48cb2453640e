# mmdet's RetinaNet made cheaper (docs/cheaper.md). Its ResNet-50 becomes a supernet, which is
# searched by box mAP on 5,000 images held out of train2017; the part that is found is trained by
# mmdet's 1x schedule. val2017 is read once, at the end.
_base_ = [
    __import__('pinas_mm').config_path('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'),
    '../_base_/models/elastic_resnet50.py',
    '../_base_/adapt_elastic.py',
]
custom_imports = dict(imports=['pinas_mm'])

mm_backbone = _base_.model.backbone  # the subnet keeps mmdet's norms and frozen stages
model = dict(
    backbone=dict(
        _delete_=True,
        norm_cfg=mm_backbone.norm_cfg,
        norm_eval=mm_backbone.norm_eval,
        frozen_stages=mm_backbone.frozen_stages,
        **_base_.elastic_backbone,
    )
)
held_out = 5000
# The supernet starts from a trained network, orders archs and is the start of the subnet, which has
# mmdet's whole schedule: half of that lets it come to rest. An epoch of it is worth 3.4 of mmdet's.
# A step sums the gradients of four paths: a quarter of the learning rate. Norms see the images of
# all GPUs.
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
