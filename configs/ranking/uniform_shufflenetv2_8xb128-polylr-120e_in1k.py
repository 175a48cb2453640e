# The supernet of single path one shot as in its published code (Guo et al., ECCV 2020): 120 epochs,
# batches of 1,024, a rate that falls linearly from 0.5; archs of 290 to 360 M MACs, drawn uniformly
# from bins of 10 M; BN without affine parameters; colour jitter; images in BGR, not normalised. Not
# as there: the convolutions' initialisation, a classifier with a bias, and the 50,000 images that
# are held out.
_base_ = [
    '../_base_/models/supernet_shufflenetv2.py',
    '../_base_/datasets/imagenet_split.py',
    'mmpretrain::_base_/schedules/imagenet_bs1024_linearlr_bn_nowd.py',
    '../_base_/default_runtime.py',
]

model = dict(backbone=dict(norm_cfg=dict(type='BN', affine=False)))
custom_hooks = [
    dict(
        type='pinas_mm.ArchSamplingHook',
        cost_bins=dict(macs=[macs * 1e6 for macs in range(290, 361, 10)]),
        input_size=224,
    )
]
data_preprocessor = dict(mean=[0, 0, 0], std=[1, 1, 1], to_rgb=False)
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4),
    *_base_.train_pipeline[2:],
]
train_dataloader = dict(batch_size=128, dataset=dict(dataset=dict(pipeline=train_pipeline)))
# BN statistics are recalibrated on training images as they are learned from.
arch_evaluation = dict(
    calibration_dataloader=dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
)
param_scheduler = [
    dict(type='PolyLR', eta_min=0, by_epoch=False)
]  # without the warm-up of mmpretrain's schedule
train_cfg = dict(max_epochs=120)
val_cfg = dict(type='pinas_mm.ArchValLoop')
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
