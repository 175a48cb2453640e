_base_ = './uniform_nasbench-macro_1xb128-200k_cifar10.py'

# At the same quarter of the width. Images of 32 pixels leave no stride to the stem: even so the
# last stage's maps are 2x2.
model = dict(
    backbone=dict(type='pinas_mm.SearchableShuffleNetV2', stem_stride=1),
    head=dict(type='pinas_mm.DropoutLinearClsHead', in_channels=256),
)
