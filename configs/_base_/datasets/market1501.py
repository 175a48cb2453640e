# Market-1501 as it is unpacked: bounding_box_train/ (751 persons), query/ and bounding_box_test/.
# Searches are scored on 100 of the 751; model.head.num_classes is the number of the others.
resize = dict(type='Resize', scale=(128, 256), keep_ratio=False)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpretrain.RandomCrop', crop_size=(256, 128), padding=10),
    dict(
        type='mmpretrain.RandomErasing', erase_prob=0.5, fill_color=(103.53, 116.28, 123.675)
    ),  # the mean colour, as BGR
    dict(type='pinas_mm.PackReIDImage'),
]
test_pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='pinas_mm.PackReIDImage')]

learning_set = dict(type='pinas_mm.PersonReID', data_root='data/market1501/', held_out=100)
# 16 persons with 4 images each.
train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='pinas_mm.IdentitySampler', images_per_person=4),
    dataset=dict(learning_set, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(learning_set, split='held_out', pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=128,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='pinas_mm.PersonReID',
        data_root='data/market1501/',
        split='test',
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='pinas_mm.ReIDMetric')
test_evaluator = val_evaluator
