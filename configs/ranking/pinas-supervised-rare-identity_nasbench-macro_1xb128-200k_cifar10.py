_base_ = './pinas-supervised_nasbench-macro_1xb128-200k_cifar10.py'

model = dict(probabilities=[0.1, 0.45, 0.45], model=dict(backbone=dict(zero_init_residual=False)))
