_base_ = ['./uniform_nasbench-macro_1xb128-200k_cifar10.py', '../_base_/training_free_score.py']

# No supernet is trained, no label is read: `tools/search.py` with this config and no checkpoint.
search_loop = dict(
    type='pinas_mm.SearchLoop',
    searcher=dict(type='evolution'),
    num_archs=200,
    score=_base_.training_free,
    input_size=32,
)
