_base_ = './utkface.py'

learning = dict(tasks=['age', 'gender'], pipeline=[*_base_.train_pipeline[:-1], _base_.pack_tasks])
evaluated = dict(tasks=['age', 'gender'], pipeline=[*_base_.test_pipeline[:-1], _base_.pack_tasks])
train_dataloader = dict(dataset=dict(dataset=dict(dataset=learning)))
val_dataloader = dict(dataset=dict(dataset=dict(dataset=evaluated)))
test_dataloader = dict(dataset=dict(dataset=evaluated))
