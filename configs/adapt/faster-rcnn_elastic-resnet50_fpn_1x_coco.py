# mmdet's Faster R-CNN made cheaper. An epoch of the supernet is worth 3.3 of mmdet's.
_base_ = [
    __import__('pinas_mm').config_path('mmdet::_base_/models/faster-rcnn_r50_fpn.py'),
    '../_base_/adapt_elastic_coco.py',
]
model = dict(backbone=dict(_delete_=True, **_base_.elastic_backbone))
