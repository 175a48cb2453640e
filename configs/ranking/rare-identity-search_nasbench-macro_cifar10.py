_base_ = [
    './rare-identity_nasbench-macro_1xb128-200k_cifar10.py',
    '../_base_/training_free_score.py',
]

# The search by the score that orders archs best (docs/ranking.md): the likelihood of the labels,
# and the sum that trains nothing.
val_evaluator = [dict(type='Accuracy', topk=(1,)), dict(type='pinas_mm.LabelLikelihood')]
search_loop = dict(
    type='pinas_mm.SearchLoop',
    searcher=dict(type='evolution'),
    num_archs=200,
    score_samples=1000,
    score={'score/neg_loss': 1, **_base_.training_free},
    input_size=32,
)
