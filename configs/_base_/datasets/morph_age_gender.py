_base_ = './morph.py'

learning = dict(
    dataset=dict(tasks=['age', 'gender'], pipeline=[*_base_.train_pipeline[:-1], _base_.pack_tasks])
)
evaluated = dict(
    dataset=dict(tasks=['age', 'gender'], pipeline=[*_base_.test_pipeline[:-1], _base_.pack_tasks])
)
train_dataloader = dict(dataset=learning)
val_dataloader = dict(dataset=evaluated)
test_dataloader = evaluated
