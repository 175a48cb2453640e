_base_ = [
    './rare-identity_nasbench-macro_1xb128-200k_cifar10.py',
    '../_base_/search_without_training.py',
]

# The likelihood of the labels is added to the sum that trains nothing: they err differently
# (docs/ranking.md).
val_evaluator = [dict(type='Accuracy', topk=(1,)), dict(type='pinas_mm.LabelLikelihood')]
search_loop = dict(score_samples=1000, score={'score/neg_loss': 1})
