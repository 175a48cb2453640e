# A supernet trained with labels: any mm classifier with a searchable backbone. ArchSamplingHook
# draws its paths (single path, uniform).
model = dict(
    type='ImageClassifier',
    backbone=dict(type='pinas_mm.SearchableMacroNet', widen_factor=0.25),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=None,  # that of the training set
        in_channels=320,
        loss=dict(type='CrossEntropyLoss'),
        topk=(1,),
        cal_acc=True,
    ),
)
custom_hooks = [dict(type='pinas_mm.ArchSamplingHook')]
