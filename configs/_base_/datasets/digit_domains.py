# Grey digits with labels, noisy ones without (benchmarks/adapt_data.py), 32 pixels wide; PINAS_DATA
# is the folder they are below.
_base_ = './office31_amazon2webcam.py'

data_root = '{{$PINAS_DATA:data/adapt/domains}}'
data_preprocessor = dict(num_classes=None, mean=[127.5] * 3, std=[127.5] * 3)
pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
source = dict(data_root=data_root, data_prefix='grey', pipeline=pipeline)
whole_target = dict(source, data_prefix='noisy', classes_from='grey')
held_out = 219
target = dict(dataset=whole_target)
train_dataloader = dict(num_workers=2, dataset=dict(source=source, target=target))
# The search reads labels of the source alone, on images of it that no stage has seen: here that
# orders archs better than what predictions on the target say (benchmarks/domain_scores.py), as long
# as BN is recalibrated on the source too.
val_dataloader = dict(
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='pinas_mm.ClassFolders',
        data_prefix='grey_held_out',
        classes_from='grey',
        data_root=data_root,
        pipeline=pipeline,
    ),
)
val_evaluator = dict(_delete_=True, type='Accuracy', topk=(1,))
# Images that no stage has seen.
test_dataloader = dict(num_workers=2, dataset=dict(whole_target, data_prefix='noisy_test'))
arch_evaluation = dict(
    calibration_dataloader=dict(
        num_workers=2, dataset=dict(_delete_=True, type='pinas_mm.ClassFolders', **source)
    ),
    calibration_batches=4,
)
