_base_ = './pinas-linear_nasbench-macro_1xb128-200k_cifar10.py'

model = dict(
    backbone=dict(type='pinas_mm.SearchableResNeSt', strides=(1, 2, 2, 1)),
    neck=[
        dict(type='GlobalAveragePooling'),
        dict(type='ClsBatchNormNeck', input_features=512, affine=False),
    ],
    head=dict(in_channels=512),
)
