_base_ = './uniform_nasbench-macro_1xb128-200k_cifar10.py'

# The space of Pi-NAS, whose candidates cost nearly the same, at a quarter of the width. The last
# stage keeps its maps at 2x2.
model = dict(
    backbone=dict(type='pinas_mm.SearchableResNeSt', strides=(1, 2, 2, 1)),
    head=dict(in_channels=512),
)
