# No supernet is trained, no label is read: `tools/search.py` with this config and no checkpoint.
_base_ = ['./uniform_nasbench-macro_1xb128-200k_cifar10.py', '../_base_/search_without_training.py']
