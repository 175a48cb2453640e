_base_ = [
    '../_base_/models/age_resnest50.py',
    '../_base_/datasets/utkface.py',
    '../_base_/schedules/faces_30e.py',
    '../_base_/adapt.py',
]

model = dict(head=dict(ages=_base_.ages))
search_loop = dict(score='age/neg_mae')
