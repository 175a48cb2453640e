_base_ = './faces_224.py'

# UTKFace, aligned and cropped: its files below data_root, another folder by `export
# PINAS_DATA=my_faces`. It has no split: a fifth is the test set, a tenth of the rest is held out
# for the search.
data_root = '{{$PINAS_DATA:data/utkface/}}'
ages = (0, 116)
faces = dict(type='pinas_mm.UTKFace', tasks='age', ages=ages, data_root=data_root)
whole = dict(type='pinas_mm.SeededSplit', held_out=4741)
held_out = 1896
split = dict(type='pinas_mm.SeededSplit')
train_set = dict(part='learning', dataset=dict(faces, pipeline=_base_.train_pipeline), **whole)
held_out_set = dict(part='learning', dataset=dict(faces, pipeline=_base_.test_pipeline), **whole)
train_dataloader = dict(dataset=dict(part='learning', dataset=train_set, **split))
val_dataloader = dict(dataset=dict(part='held_out', dataset=held_out_set, **split))
test_dataloader = dict(dataset=dict(held_out_set, part='held_out'))
