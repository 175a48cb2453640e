_base_ = './pinas_nasbench-macro-linear_1xb128-coslr-3e_cifar10.py'

search_loop = dict(
    type='pinas_mm.SearchLoop',
    searcher=dict(type='partition_tree'),
    num_archs=80,
    score_samples=1000,
    constraints=dict(macs=4.0e6),
    input_size=32,
)
