_base_ = './gender_resnest50.py'

# The expected value over the years, whose loss is of the size of the other task's; CORAL's is a sum
# over years and wants a loss_weight.
model = dict(
    head=dict(
        _delete_=True,
        type='MultiTaskHead',
        in_channels=2048,
        task_heads=dict(
            age=dict(type='pinas_mm.ExpectedAgeHead', ages=None),
            gender=dict(type='LinearClsHead', num_classes=2),
        ),
    )
)
val_evaluator = [
    dict(type='pinas_mm.TaskMetric', task='age', metric=dict(type='pinas_mm.AgeMetric')),
    *[
        dict(type='pinas_mm.TaskMetric', task='gender', metric=metric)
        for metric in _base_.val_evaluator
    ],
]
test_evaluator = val_evaluator
