# A supernet out of mmdet's Faster R-CNN: the largest arch is its ResNet-50, and the others learn
# from their own boxes and from the neck's maps of the largest. Norms are not frozen, since no
# running statistics fit all archs. A step sums the gradients of four paths: a quarter of the rate.
_base_ = __import__('pinas_mm').config_path('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
custom_imports = dict(imports=['pinas_mm'])

backbone = dict(
    type='pinas_mm.ElasticResNet',
    depth=50,
    out_indices=(0, 1, 2, 3),
    norm_cfg=dict(type='SyncBN', requires_grad=True),
    sort_channels=True,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='set model.model.backbone.init_cfg.checkpoint',
        prefix='backbone.',
    ),
)
model = dict(
    _delete_=True,
    type='pinas_mm.FeatureSandwichStrategy',
    model=dict(_base_.model, backbone=backbone),
)
model_wrapper_cfg = dict(type='pinas_mm.ActiveGradientDataParallel')
optim_wrapper = dict(optimizer=dict(lr=0.005))
# Search it by tools/search.py; a plain validation would show noise.
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = None
