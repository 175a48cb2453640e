_base_ = './rare-identity_nasbench-macro_1xb128-200k_cifar10.py'

# Stage by stage from the ensemble of the supernet's own paths, without labels. A step is three
# paths of two views, and three forward passes of their slowly moving copy for either view.
model = dict(
    _delete_=True,
    type='pinas_mm.BossNAS',
    backbone=_base_.model.backbone,
    hid_channels=256,
    feat_dim=128,
)
custom_hooks = []  # the model draws the paths
data_preprocessor = dict(
    _delete_=True,
    type='SelfSupDataPreprocessor',
    mean=_base_.data_preprocessor.mean,
    std=_base_.data_preprocessor.std,
    to_rgb=True,
)
# Views as published for CIFAR-10: other crops and flips.
train_dataloader = dict(
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        dataset=dict(
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='MultiView', num_views=[2], transforms=[_base_.train_pipeline[1:-1]]),
                dict(type='PackInputs'),
            ]
        )
    ),
)
val_dataloader = dict(collate_fn=dict(type='default_collate'))
test_dataloader = dict(collate_fn=dict(type='default_collate'))
arch_evaluation = dict(calibration_dataloader=dict(collate_fn=dict(type='default_collate')))
iterations = _base_.iterations // 8
param_scheduler = [dict(type='CosineAnnealingLR', T_max=iterations, by_epoch=False)]
train_cfg = dict(max_iters=iterations)
val_evaluator = dict(_delete_=True, type='pinas_mm.BlockwiseLoss')
test_evaluator = val_evaluator
