# Alone the likelihood is inverted here (docs/results/ranking_trials.md).
_base_ = ['./uniform_nasbench201_1xb128-200k_cifar10.py', '../_base_/search_with_labels.py']
