_base_ = './uniform_nasbench-macro_1xb128-200k_cifar10.py'

# A MobileNetV2 at a quarter of the width, whose depth and expansions are searched.
model = dict(backbone=dict(type='pinas_mm.ElasticMobileNetV2'), head=dict(in_channels=1280))
