_base_ = './linear.py'

# Scores come from the held-out split (val_dataloader); the test split is read once, for the final
# table.
search_loop = dict(
    type='pinas_mm.SearchLoop',
    searcher=dict(type='partition_tree'),
    num_archs=96,
    score_samples=200,
    constraints=dict(macs=4.0e6),
    input_size=32,
)
