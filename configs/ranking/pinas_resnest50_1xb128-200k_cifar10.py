_base_ = './pinas_nasbench-macro_1xb128-200k_cifar10.py'

model = dict(
    backbone=dict(type='pinas_mm.SearchableResNeSt', strides=(1, 2, 2, 1)),
    neck=dict(in_channels=512, hid_channels=512),
)
