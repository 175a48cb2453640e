_base_ = ['./linear.py', '../_base_/search_with_labels.py']

# Scores come from the held-out split (val_dataloader); the test split is read once, for the final
# table.
search_loop = dict(
    searcher=dict(type='partition_tree'),
    num_archs=96,
    score_samples=200,
    constraints=dict(macs=1.0e6),
    input_size=16,
)
