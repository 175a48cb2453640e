_base_ = [
    './pinas_nasbench-macro-linear_1xb128-coslr-3e_cifar10.py',
    '../_base_/search_with_labels.py',
]

search_loop = dict(num_archs=80, constraints=dict(macs=4.0e6))
