_base_ = 'mmpretrain::_base_/datasets/imagenet_bs32.py'

# 50,000 training images are held out for search scores; no stage learns from them. The test set is
# ImageNet's own validation set.
held_out = 50000
whole_train_set = _base_.train_dataloader.dataset
learning_part = dict(type='pinas_mm.SeededSplit', part='learning', dataset=whole_train_set)
train_dataloader = dict(num_workers=8, drop_last=True, dataset=dict(_delete_=True, **learning_part))
val_dataloader = dict(
    batch_size=128,
    dataset=dict(
        _delete_=True,
        type='pinas_mm.SeededSplit',
        part='held_out',
        dataset=dict(whole_train_set, pipeline=_base_.test_pipeline),
    ),
)

arch_evaluation = dict(
    calibration_dataloader=dict(_base_.train_dataloader, batch_size=128, dataset=learning_part),
    calibration_batches=49,
)
