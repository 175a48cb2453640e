_base_ = './linear.py'

# Scores come from the held-out split (val_dataloader); the test split is read once, for the final
# table.
val_evaluator = [dict(type='Accuracy', topk=(1,)), dict(type='pinas_mm.LabelLikelihood')]
search_loop = dict(
    type='pinas_mm.SearchLoop',
    searcher=dict(type='partition_tree'),
    num_archs=96,
    score_samples=200,
    # What the supernet says, and what it need not be trained for: the two err differently.
    score={'score/neg_loss': 1, 'swap': 1},
    constraints=dict(macs=4.0e6),
    input_size=32,
)
