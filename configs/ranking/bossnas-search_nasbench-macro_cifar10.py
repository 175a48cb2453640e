# The losses of the stages are added to the sum that trains nothing. No label is read.
_base_ = ['./bossnas_nasbench-macro_1xb128-200k_cifar10.py', '../_base_/search_without_training.py']

search_loop = dict(score_samples=1000, score={'blockwise/neg_log_loss': 1})
