_base_ = './elastic_resnet50.py'

# Output stride 8, for segmentors of mmseg. They have a ResNetV1c: a stem of three convolutions, and
# half the dilation in the first block of a dilated stage. mmpretrain's weights are of the plain
# network.
elastic_backbone = dict(
    strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), norm_cfg=dict(type='SyncBN', requires_grad=True)
)
