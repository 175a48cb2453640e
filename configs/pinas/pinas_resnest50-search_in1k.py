# The published search: 1,000 archs by the partition tree as published, BN from 49 batches of 128.
# On NAS-Bench-Macro, searcher = dict(type='partition_tree') finds better archs
# (docs/results/searching.md).
_base_ = './pinas_resnest50-linear_8xb32-steplr-100e_in1k.py'

# Scores come from the held-out part of the training set. As published, from ImageNet's validation
# set: val_dataloader = dict(_delete_=True, **_base_.test_dataloader)
search_loop = dict(
    type='pinas_mm.SearchLoop',
    searcher=dict(type='partition_tree', published=True),
    num_archs=1000,
    input_size=224,
)
