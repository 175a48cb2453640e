_base_ = './pinas-supervised_nasbench-macro_1xb128-200k_cifar10.py'

optim_wrapper = dict(type='pinas_mm.SubnetAwareOptimWrapper', input_size=32)
