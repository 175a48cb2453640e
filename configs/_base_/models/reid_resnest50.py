# Identity and triplet loss with a norm between them, label smoothing and a last stride of 1: Luo et
# al., Bag of Tricks and A Strong Baseline for Deep Person Re-identification, 2019. Their features
# are the pooled ones; mmdet's head has a linear layer to 512 behind these.
model = dict(
    type='BaseReID',
    data_preprocessor=dict(
        type='ReIDDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(type='pinas_mm.SearchableResNeSt', strides=(1, 2, 2, 1)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearReIDHead',
        num_fcs=0,
        in_channels=2048,
        fc_channels=512,
        out_channels=512,
        num_classes=None,
        loss_cls=dict(type='mmpretrain.LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        loss_triplet=dict(type='TripletLoss', margin=0.3),
    ),
)
