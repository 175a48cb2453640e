# A supernet made of one pretrained network: the sandwich rule trains its largest arch, its smallest
# and two others at every step, and these learn from the feature maps of the largest. For a
# classifier supernet_stage.strategy.type='pinas_mm.SandwichStrategy'. Nothing is frozen, since
# narrow blocks have to learn.
_base_ = './adapt.py'

supernet_stage = dict(
    model=dict(backbone=dict(frozen_stages=-1)),
    strategy=dict(type='pinas_mm.FeatureSandwichStrategy'),
    custom_hooks=[],  # the strategy draws the archs
)
search_loop = dict(searcher=dict(type='evolution'), num_archs=200)
