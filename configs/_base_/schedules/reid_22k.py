# Luo et al., 2019: 120 epochs of about 185 batches, with a warm-up of 10 and a tenth of the rate
# from epochs 40 and 70 on. Epochs of IdentitySampler are others, once through the persons, so
# iterations are counted.
epoch = 185
optim_wrapper = dict(optimizer=dict(type='Adam', lr=3.5e-4, weight_decay=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=10 * epoch),
    dict(type='MultiStepLR', milestones=[40 * epoch, 70 * epoch], gamma=0.1, by_epoch=False),
]
train_cfg = dict(by_epoch=False, max_iters=120 * epoch, val_interval=10 * epoch)
val_cfg = dict()
test_cfg = dict()
log_processor = dict(by_epoch=False)
auto_scale_lr = dict(base_batch_size=64)
