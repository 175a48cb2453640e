_base_ = ['./linear.py', '../_base_/search_without_training.py']

# Scores come from the held-out split (val_dataloader); the test split is read once, for the final
# table. The likelihood of the labels is added to the sum that trains nothing: they err differently
# (docs/ranking.md).
val_evaluator = [dict(type='Accuracy', topk=(1,)), dict(type='pinas_mm.LabelLikelihood')]
search_loop = dict(
    searcher=dict(type='partition_tree'),
    num_archs=96,
    score_samples=200,
    score={'score/neg_loss': 1},
    constraints=dict(macs=4.0e6),
)
