_base_ = [
    './rare-identity_nasbench-macro_1xb128-200k_cifar10.py',
    '../_base_/search_with_labels.py',
]
