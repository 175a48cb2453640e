# mmseg's DeepLabV3+ made cheaper (docs/tutorials/own_detector.md). Its ResNet-50 becomes a
# supernet, which is searched by mIoU on 1,000 images held out of the training set; the part that is
# found is trained by mmseg's schedule. The validation set is read once, at the end.
_base_ = [
    __import__('pinas_mm').config_path(
        'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb4-160k_ade20k-512x512.py'
    ),
    '../_base_/models/elastic_resnet50-d8.py',
    '../_base_/adapt_elastic.py',
]
custom_imports = dict(imports=['pinas_mm'])

model = dict(pretrained=None, backbone=dict(_delete_=True, **_base_.elastic_backbone))
held_out = 1000
# The supernet starts from a trained network, orders archs and is the start of the subnet, which has
# mmseg's whole schedule: half of that lets it come to rest. A step of it is worth 3 of mmseg's. It
# sums the gradients of four paths: a quarter of the learning rate.
(decay,) = _base_.param_scheduler
supernet_stage = dict(
    optim_wrapper=dict(optimizer=dict(lr=_base_.optim_wrapper.optimizer.lr / 4)),
    param_scheduler=[dict(decay, end=80000)],
    train_cfg=dict(max_iters=80000),
)
# 60 % of the ResNet-50's 99.7e9 MACs. To limit the measured latency (ms) instead: these two keys,
# latency_table='latency.json' (a file of tools/latency.py) and constraints=dict(latency=12.5).
search_loop = dict(input_size=512, score='mIoU', constraints=dict(backbone_macs=60e9))
