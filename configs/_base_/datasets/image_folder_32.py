# Any folder of images in one subfolder per class: <data_root>/train and <data_root>/test. CIFAR-10
# by default, another folder by `export PINAS_DATA=my_images`. The number of classes is read from
# the training set (None); the subfolders of `train` number the classes of both.
data_root = '{{$PINAS_DATA:data/cifar10}}'
# Search scores come from a held-out part of the training set, which no stage learns from: a share,
# or a number of images. Every part of it below reads this line.
held_out = 0.1
# Images are decoded as BGR, as OpenCV does it. to_rgb turns them: mean and std, and what the
# network sees, are RGB.
data_preprocessor = dict(
    num_classes=None, mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7], to_rgb=True
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=32),
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=32),
    dict(type='PackInputs'),
]

whole_train_set = dict(
    type='pinas_mm.ClassFolders',
    data_root=data_root,
    data_prefix='train',
    other_splits=['test'],
    pipeline=train_pipeline,
)
train_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='pinas_mm.SeededSplit', part='learning', dataset=whole_train_set),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='pinas_mm.SeededSplit',
        part='held_out',
        dataset=dict(whole_train_set, pipeline=test_pipeline),
    ),
)
test_dataloader = dict(
    batch_size=250,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='pinas_mm.ClassFolders',
        data_root=data_root,
        data_prefix='test',
        classes_from='train',
        pipeline=test_pipeline,
    ),
)
val_evaluator = [dict(type='Accuracy', topk=(1,)), dict(type='pinas_mm.LabelLikelihood')]
test_evaluator = val_evaluator

arch_evaluation = dict(calibration_dataloader=train_dataloader, calibration_batches=8)
