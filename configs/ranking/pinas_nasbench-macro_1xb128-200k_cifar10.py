_base_ = './pinas-rare-identity_nasbench-macro_1xb128-200k_cifar10.py'

# Every candidate as often as another, as published.
model = dict(probabilities=None)
