_base_ = './uniform_nasbench-macro_1xb128-200k_cifar10.py'

# At half of its width: 8, 16 and 32 channels.
model = dict(
    backbone=dict(type='pinas_mm.SearchableNASBench201', widen_factor=0.5),
    head=dict(in_channels=32),
)
