# Unsupervised domain adaptation: no label of the target is read before the test. Other alignments
# of the domains: `model = dict(alignment=dict(type='pinas_mm.CDAN'))`, with
# `entropy_weighting=True` for CDAN+E, or `'pinas_mm.MMD'`.
_base_ = [
    '../_base_/models/uda_resnest50.py',
    '../_base_/datasets/office31_amazon2webcam.py',
    '../_base_/schedules/uda_10k.py',
    '../_base_/adapt.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1000, max_keep_ckpts=1))
log_processor = dict(by_epoch=False)
search_loop = dict(score='information/mutual_information')
