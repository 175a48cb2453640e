# mmdet's RetinaNet made cheaper. An epoch of the supernet is worth 3.4 of mmdet's.
_base_ = [
    __import__('pinas_mm').config_path('mmdet::_base_/models/retinanet_r50_fpn.py'),
    __import__('pinas_mm').config_path('mmdet::retinanet/retinanet_tta.py'),
    '../_base_/adapt_elastic_coco.py',
]
model = dict(backbone=dict(_delete_=True, **_base_.elastic_backbone))
optim_wrapper = dict(optimizer=dict(lr=0.01))
supernet_stage = dict(optim_wrapper=dict(optimizer=dict(lr=0.01 / 4)))
