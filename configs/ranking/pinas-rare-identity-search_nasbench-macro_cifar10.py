# The supernet learns without labels; the likelihood is that of its linear classifier.
_base_ = [
    './pinas-rare-identity-linear_nasbench-macro_1xb128-200k_cifar10.py',
    '../_base_/search_with_labels.py',
]
