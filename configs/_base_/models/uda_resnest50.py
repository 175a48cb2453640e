# As ResNet-50 is adapted in the papers: a bottleneck of 256 channels, new layers that learn ten
# times as fast as the backbone. The backbone starts from a supernet's weights.
model = dict(
    type='pinas_mm.DomainAdaptiveClassifier',
    backbone=dict(type='pinas_mm.SearchableResNeSt'),
    neck=dict(
        type='LinearNeck',
        in_channels=2048,
        out_channels=256,
        gap_dim=2,
        norm_cfg=dict(type='BN1d'),
        act_cfg=dict(type='ReLU'),
    ),
    head=dict(
        type='LinearClsHead',
        num_classes=31,
        in_channels=256,
        loss=dict(type='CrossEntropyLoss'),
        topk=(1,),
        cal_acc=True,
    ),
    alignment=dict(type='pinas_mm.DANN'),
)
