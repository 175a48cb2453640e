# 200,000 image passes: one is the forward and backward pass of one image through one path, a
# teacher's forward pass is a third of one (a backward pass costs about two forward passes). So a
# strategy with p passes per step trains for 1562 / p iterations of 128 images:
# benchmarks/ranking.py sets max_iters and T_max for other budgets.
iterations = 200_000 // 128
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=iterations, by_epoch=False)]
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=iterations, val_interval=10**9
)  # and once at the end, as checkpoints
auto_scale_lr = dict(base_batch_size=128)
