_base_ = './rare-identity_nasbench-macro_1xb128-200k_cifar10.py'

# Stage by stage from a teacher that was never trained, without labels: the heaviest arch, whose
# forward pass counts a third of a pass.
model = dict(
    _delete_=True,
    type='pinas_mm.DNA',
    backbone=_base_.model.backbone,
    teacher=dict(_base_.model.backbone, arch='22222222', out_indices=(0, 1, 2)),
)
iterations = _base_.iterations * 3 // 4
param_scheduler = [dict(type='CosineAnnealingLR', T_max=iterations, by_epoch=False)]
train_cfg = dict(max_iters=iterations)
val_evaluator = dict(_delete_=True, type='pinas_mm.BlockwiseLoss')
test_evaluator = val_evaluator
