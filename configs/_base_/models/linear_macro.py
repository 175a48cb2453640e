# One linear classifier over sampled archs of a frozen supernet; BN in train mode, since no running
# statistics fit all archs. Features are standardised first: a few small epochs cannot fit a
# classifier to raw ones, whose common mean is far larger than what tells images apart.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='pinas_mm.SearchableMacroNet',
        widen_factor=0.25,
        frozen_stages=4,
        frozen_norm_eval=False,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='set model.backbone.init_cfg.checkpoint',
            prefix='backbone.',
        ),
    ),
    neck=[
        dict(type='GlobalAveragePooling'),
        dict(type='ClsBatchNormNeck', input_features=320, affine=False),
    ],
    head=dict(
        type='LinearClsHead',
        num_classes=None,  # that of the training set
        in_channels=320,
        loss=dict(type='CrossEntropyLoss'),
        topk=(1,),
        cal_acc=True,
    ),
)
# As often as while the supernet learned (pinas_macro.py).
custom_hooks = [dict(type='pinas_mm.ArchSamplingHook', probabilities=[0.1, 0.45, 0.45])]
