_base_ = './pinas-supervised_nasbench-macro_1xb128-200k_cifar10.py'

model = dict(
    model=dict(
        backbone=dict(type='pinas_mm.SearchableResNeSt', strides=(1, 2, 2, 1)),
        head=dict(in_channels=512),
    )
)
