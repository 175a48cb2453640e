_base_ = './age_resnest50.py'

model = dict(head=dict(_delete_=True, type='LinearClsHead', num_classes=2, in_channels=2048))
# gender/top1 is the accuracy. gender/recall, the mean of both genders' recalls, is the mean
# accuracy: men and women count the same.
val_evaluator = [
    dict(type='Accuracy', prefix='gender'),
    dict(type='SingleLabelMetric', items=('recall',), prefix='gender'),
]
test_evaluator = val_evaluator
