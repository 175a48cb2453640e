# The ResNet-50 of uniform_elastic-resnet50_*, trained as the macro space is by the sandwich rule.
_base_ = './sandwich_nasbench-macro_1xb128-200k_cifar10.py'

model = dict(
    model=dict(
        backbone=dict(type='pinas_mm.ElasticResNet', depth=50, strides=(1, 2, 2, 1)),
        head=dict(in_channels=512),
    )
)
