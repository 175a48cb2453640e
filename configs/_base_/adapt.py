# What tools/adapt.py changes of a config for each of its steps: the supernet's fine-tuning, the
# search, the subnet's fine-tuning. No running BN statistics fit all archs, so a supernet's norms
# stay in train mode where a config freezes them. Every step runs another path: average exactly its
# gradients over the ranks.
supernet_stage = dict(
    model=dict(backbone=dict(norm_eval=False, frozen_norm_eval=False)),
    model_wrapper_cfg=dict(type='pinas_mm.ActiveGradientDataParallel'),
    custom_hooks=[dict(type='pinas_mm.ArchSamplingHook')],
)
search_loop = dict(
    type='pinas_mm.SearchLoop', searcher=dict(type='partition_tree'), num_archs=1000, input_size=224
)
subnet_stage = dict()
