_base_ = './uniform_nasbench-macro_1xb128-200k_cifar10.py'

# The MobileNetV3 of Once-for-All at a quarter of the width. The last stage's maps are 2x2.
model = dict(backbone=dict(type='pinas_mm.ElasticMobileNetV3', strides=(1, 2, 2, 1, 2)))
