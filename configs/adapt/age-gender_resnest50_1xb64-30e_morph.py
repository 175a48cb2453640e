_base_ = [
    '../_base_/models/age_gender_resnest50.py',
    '../_base_/datasets/morph_age_gender.py',
    '../_base_/schedules/faces_30e.py',
    '../_base_/adapt.py',
]

model = dict(head=dict(task_heads=dict(age=dict(ages=_base_.ages))))
# Or score='gender/recall'.
search_loop = dict(score='age/neg_mae')
