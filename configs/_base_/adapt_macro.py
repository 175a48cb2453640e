# Identities, which have no weights to learn, are drawn in a tenth of the positions: that orders
# archs better (docs/ranking.md).
_base_ = './adapt.py'

supernet_stage = dict(
    custom_hooks=[dict(type='pinas_mm.ArchSamplingHook', probabilities=[0.1, 0.45, 0.45])]
)
