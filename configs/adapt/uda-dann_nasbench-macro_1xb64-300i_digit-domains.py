# Domain adaptation at a size that runs anywhere: grey digits with labels, noisy ones without.
_base_ = [
    '../_base_/models/supernet_macro.py',
    '../_base_/datasets/digit_domains.py',
    '../_base_/schedules/uda_10k.py',
    '../_base_/adapt_macro.py',
    '../_base_/default_runtime.py',
]

model = dict(type='pinas_mm.DomainAdaptiveClassifier', alignment=dict(type='pinas_mm.DANN'))
# Those of the supernet's stage draw archs.
custom_hooks = []
optim_wrapper = dict(optimizer=dict(lr=0.1), paramwise_cfg=None)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=300, by_epoch=False)]
train_cfg = dict(max_iters=300, val_interval=300)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=1))
log_processor = dict(by_epoch=False)
search_loop = dict(num_archs=60, input_size=32)
