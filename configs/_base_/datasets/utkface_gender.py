_base_ = './utkface.py'

gender = dict(dataset=dict(dataset=dict(tasks='gender')))
train_dataloader = dict(dataset=gender)
val_dataloader = dict(dataset=gender)
test_dataloader = gender
