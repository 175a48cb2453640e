# The same folders at 96x96 pixels, for networks that halve the size five times.
_base_ = './image_folder_32.py'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=96),
    dict(type='RandomCrop', crop_size=96, padding=12),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=96),
    dict(type='PackInputs'),
]

train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(dataset=dict(pipeline=test_pipeline)))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
arch_evaluation = dict(calibration_dataloader=train_dataloader)
