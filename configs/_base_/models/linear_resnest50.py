# One linear classifier over sampled archs of a frozen supernet; BN in train mode, since no running
# statistics fit all archs.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='pinas_mm.SearchableResNeSt',
        frozen_stages=4,
        frozen_norm_eval=False,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='set model.backbone.init_cfg.checkpoint',
            prefix='backbone.',
        ),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=2048,
        loss=dict(type='CrossEntropyLoss'),
        topk=(1, 5),
        cal_acc=True,
    ),
)
custom_hooks = [dict(type='pinas_mm.ArchSamplingHook')]
