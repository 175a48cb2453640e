# Office-31, photographs of a shop and of a webcam: <data_root>/<domain>/images/<class>/*.jpg.
# Another pair: its two folders below.
data_root = 'data/office31'
data_preprocessor = dict(
    num_classes=31, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 256)),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 256)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

source = dict(
    type='pinas_mm.ClassFolders',
    data_root=data_root,
    data_prefix='amazon/images',
    pipeline=train_pipeline,
)
whole_target = dict(source, data_prefix='webcam/images', classes_from='amazon/images')
# A fifth of the target's images are held out for search scores; no stage learns from them.
held_out = 159
target = dict(type='pinas_mm.SeededSplit', part='learning', dataset=whole_target)
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='pinas_mm.DomainSampler'),
    dataset=dict(type='pinas_mm.DomainPair', source=source, target=target),
)
# The search may not read the target's labels either: it maximises what predictions on held-out
# target images say (information maximisation). Accuracy on held-out source images needs no label of
# the target either, but images of the source to spare: on digits it orders archs better
# (digit_domains.py).
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='pinas_mm.UnlabelledDomain',
        dataset=dict(target, part='held_out', dataset=dict(whole_target, pipeline=test_pipeline)),
    ),
)
val_evaluator = dict(type='pinas_mm.InformationMaximisation')
# As published, all of the target, with the labels that nothing else has read; of each image one
# crop (CDAN's code takes the mean of ten).
test_dataloader = dict(
    batch_size=128,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(whole_target, pipeline=test_pipeline),
)
test_evaluator = dict(type='Accuracy', topk=(1,))

# For every evaluation of archs: BN is recalibrated on the target, which is what is predicted.
arch_evaluation = dict(
    calibration_dataloader=dict(
        train_dataloader,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(type='pinas_mm.UnlabelledDomain', dataset=target),
    ),
    calibration_batches=49,
)
