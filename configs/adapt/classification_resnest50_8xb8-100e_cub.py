# CUB-200-2011 at 384 pixels, on mmpretrain's schedule. A tenth of the training images is held out
# for the search.
_base_ = [
    '../_base_/models/linear_resnest50.py',
    'mmpretrain::_base_/datasets/cub_bs8_384.py',
    'mmpretrain::_base_/schedules/cub_bs64.py',
    '../_base_/default_runtime.py',
    '../_base_/adapt.py',
]

model = dict(backbone=dict(frozen_stages=-1), head=dict(num_classes=200, topk=(1,)))
held_out = 600
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
custom_hooks = []
search_loop = dict(input_size=384)
