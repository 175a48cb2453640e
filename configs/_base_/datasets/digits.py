# scikit-learn's handwritten digits, embedded: nothing to download. Each stands at a random place
# among pieces of others, or every arch would read about 96 %. Held-out and test images keep their
# places and pieces; each test digit is read in five.
clutter = dict(type='pinas_mm.DigitClutter')
data_preprocessor = dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=False)
pipeline = [clutter, dict(type='PackInputs')]
fixed_pipeline = [dict(clutter, fixed=True), dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='pinas_mm.Digits', split='learning', pipeline=pipeline),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='pinas_mm.Digits', split='held_out', pipeline=fixed_pipeline),
)
test_dataloader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='pinas_mm.Digits', split='test', copies=5, pipeline=fixed_pipeline),
)
val_evaluator = [dict(type='Accuracy', topk=(1,)), dict(type='pinas_mm.LabelLikelihood')]
test_evaluator = val_evaluator

# For every evaluation of archs: where BN is recalibrated.
arch_evaluation = dict(calibration_dataloader=train_dataloader, calibration_batches=8)
