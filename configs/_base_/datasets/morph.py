_base_ = './faces_224.py'

# Ages of MORPH, split as Cao et al. (CORAL) published it: their two tables and a folder `images`
# below data_root, another one by `export PINAS_DATA=my_faces`. For tables of your own with
# `image,age,gender` and 30 and M or F, the second line of `faces` goes.
data_root = '{{$PINAS_DATA:data/morph2/}}'
ages = (16, 70)
faces = dict(
    type='pinas_mm.AgeGenderList',
    tasks='age',
    ages=ages,
    data_root=data_root,
    data_prefix='images',
    columns=dict(image='', age='age', gender='Male'),
    genders=dict(male=['1'], female=['-1']),
    age_offset=16,
)
train_set = dict(faces, ann_file='morph2_train.csv')
# A tenth of the training set is held out for the search, by persons, with whom file names begin
# (009055_1M54.JPG).
held_out = 4400
split = dict(type='pinas_mm.SeededSplit', group=r'^(\d+)_')
train_dataloader = dict(
    dataset=dict(part='learning', dataset=dict(train_set, pipeline=_base_.train_pipeline), **split)
)
val_dataloader = dict(
    dataset=dict(part='held_out', dataset=dict(train_set, pipeline=_base_.test_pipeline), **split)
)
test_dataloader = dict(
    dataset=dict(faces, ann_file='morph2_test.csv', pipeline=_base_.test_pipeline)
)
