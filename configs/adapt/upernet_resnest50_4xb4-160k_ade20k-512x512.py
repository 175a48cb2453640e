# ADE20K, searched by mIoU on 1,000 images held out of the training set; the validation set is read
# once, at the end.
_base_ = ['../mmseg/pinas-resnest50_upernet_4xb4-160k_ade20k-512x512.py', '../_base_/adapt.py']

held_out = 1000
split = dict(type='pinas_mm.SeededSplit')
train_set = _base_.train_dataloader.dataset
train_dataloader = dict(dataset=dict(_delete_=True, part='learning', dataset=train_set, **split))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        part='held_out',
        dataset=dict(train_set, pipeline=_base_.test_pipeline),
        **split,
    )
)
search_loop = dict(input_size=512, score='mIoU')
