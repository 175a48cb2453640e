# From a ConvNeXt-T of mmpretrain's to a supernet: the largest arch is that network, and the others
# learn from it. Length and rate are those of ConvNeXt's own fine-tuning (Liu et al., CVPR 2022,
# appendix A.2: 5e-5 at 512 images). AdamW does not see that the gradients of four paths are summed.
_base_ = [
    'mmpretrain::_base_/models/convnext/convnext-tiny.py',
    '../_base_/datasets/imagenet_split.py',
    'mmpretrain::_base_/schedules/imagenet_bs1024_adamw_swin.py',
    '../_base_/default_runtime.py',
]

backbone = dict(
    type='pinas_mm.ElasticConvNeXt',
    size='tiny',
    drop_path_rate=0.1,
    sort_channels=True,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='set model.model.backbone.init_cfg.checkpoint',
        prefix='backbone.',
    ),
)
model = dict(
    _delete_=True, type='pinas_mm.SandwichStrategy', model=dict(_base_.model, backbone=backbone)
)
train_dataloader = dict(batch_size=128)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=30)
val_cfg = dict(type='pinas_mm.ArchValLoop')
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
