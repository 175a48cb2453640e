# A supernet trained with labels, at ImageNet's size. ArchSamplingHook draws its paths (single path,
# uniform). Dropout and label smoothing as published (Guo et al., ECCV 2020; Hu et al., CVPR 2020);
# without dropout: `model = dict(head=dict(dropout=0))`.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='pinas_mm.SearchableShuffleNetV2'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='pinas_mm.DropoutLinearClsHead',
        num_classes=1000,
        in_channels=1024,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        topk=(1, 5),
        cal_acc=True,
    ),
)
custom_hooks = [dict(type='pinas_mm.ArchSamplingHook')]
