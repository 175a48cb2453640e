# Small images and few of them. With the published head (fc-ReLU-fc) embeddings share one mean
# direction, the paths agree on that alone, and learning stays at ln(K + 1); BN in the head, and at
# its end, takes the common mean away. Few steps also want a teacher that follows faster than the
# published 0.999.
model = dict(
    type='pinas_mm.PiNAS',
    backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.25),
    neck=dict(
        type='NonLinearNeck',
        in_channels=320,
        hid_channels=320,
        out_channels=128,
        norm_cfg=dict(type='BN1d'),
    ),
    head=dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.2),
    queue_len=1024,
    feat_dim=128,
    momentum=0.97,
    # Identities have no weights to train: in a tenth of the positions instead of a third they leave
    # an order of archs with twice the tau (docs/results/ranking_trials.md).
    probabilities=[0.1, 0.45, 0.45],
)
