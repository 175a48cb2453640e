# A supernet adapted to any folder of small images (image_folder_32.py).
_base_ = [
    '../_base_/models/supernet_macro.py',
    '../_base_/datasets/image_folder_32.py',
    '../_base_/default_runtime.py',
    '../_base_/adapt_macro.py',
]

train_dataloader = dict(batch_size=64)
# Trained weights are larger than random ones, which divides the rate they learn at behind a norm:
# 0.05 is too low for them.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=5e-4, nesterov=True)
)
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=10, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(by_epoch=True, max_epochs=10)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
# Those of the supernet's stage draw archs.
custom_hooks = []
# Of a few hundred held-out images an accuracy has few values; the likelihood of their labels orders
# archs better (docs/ranking.md).
search_loop = dict(num_archs=100, score='score/neg_loss', score_samples=500, input_size=32)
arch_evaluation = dict(calibration_dataloader=dict(batch_size=64))
