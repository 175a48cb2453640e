_base_ = './training-free-search_nasbench-macro_cifar10.py'

model = dict(
    backbone=dict(type='pinas_mm.SearchableNASBench201', widen_factor=0.5),
    head=dict(in_channels=32),
)
