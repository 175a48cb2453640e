# The rates of CDAN's published code: 0.001, and ten times as much for new layers. It takes 100,000
# steps and anneals them by (1 + t / 1,000)^-0.75, which mmengine does not have; here 10,000 steps.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=10000, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=10000, val_interval=1000)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=64)
