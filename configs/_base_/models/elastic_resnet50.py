# mmpretrain's ResNet-50 with its ImageNet weights as a supernet: a search leaves out some of its
# blocks and inner channels, the least important channels first. It takes the place of the ResNet of
# a detector or segmentor: `backbone=dict(_delete_=True, **_base_.elastic_backbone)`.
elastic_backbone = dict(
    type='pinas_mm.ElasticResNet',
    depth=50,
    out_indices=(0, 1, 2, 3),
    sort_channels=True,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
        'resnet50_8xb32_in1k_20210831-ea4938fc.pth',
        prefix='backbone.',
    ),
)
