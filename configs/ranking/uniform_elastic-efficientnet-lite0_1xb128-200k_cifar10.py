_base_ = './uniform_nasbench-macro_1xb128-200k_cifar10.py'

# An EfficientNet-Lite0 at a quarter of the width, whose depth, expansions and kernels are searched.
model = dict(backbone=dict(type='pinas_mm.ElasticEfficientNetLite0'), head=dict(in_channels=1280))
