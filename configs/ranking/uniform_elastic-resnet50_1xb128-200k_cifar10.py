_base_ = './uniform_nasbench-macro_1xb128-200k_cifar10.py'

# A ResNet-50 at a quarter of the width, whose depth and inner widths are searched. The last stage
# keeps its maps at 2x2.
model = dict(
    backbone=dict(type='pinas_mm.ElasticResNet', depth=50, strides=(1, 2, 2, 1)),
    head=dict(in_channels=512),
)
