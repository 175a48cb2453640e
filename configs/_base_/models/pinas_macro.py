# Small images: BN in the projection head, without which learning stays at ln(K + 1) at this scale.
model = dict(
    type='pinas_mm.PiNAS',
    backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.25),
    neck=dict(
        type='NonLinearNeck', in_channels=320, hid_channels=320, out_channels=128, with_last_bn=False, norm_cfg=dict(type='BN1d')),
    head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.2),
    queue_len=1024,
    feat_dim=128,
    momentum=0.99)
