_base_ = [
    '../_base_/models/gender_resnest50.py',
    '../_base_/datasets/morph_gender.py',
    '../_base_/schedules/faces_30e.py',
    '../_base_/adapt.py',
]

search_loop = dict(score='gender/recall')
