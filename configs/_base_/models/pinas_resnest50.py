# As published: fc-ReLU-fc head without BN, 2048-2048-128, with Kaiming's start; m here is the share
# of the teacher that stays.
model = dict(
    type='pinas_mm.PiNAS',
    backbone=dict(type='pinas_mm.SearchableResNeSt'),
    neck=dict(
        type='MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        init_cfg=dict(type='Kaiming', layer='Linear', mode='fan_in'),
    ),
    head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.2),
    queue_len=49152,
    feat_dim=128,
    momentum=0.999,
)
