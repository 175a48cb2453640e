_base_ = './uda-dann_resnest50_1xb64-10k_office31-amazon2webcam.py'

# Office-Home: <data_root>/<domain>/<class>/*.jpg. Another pair: its two folders, and a fifth of the
# target's images to hold out.
data_root = 'data/office_home'
source = dict(data_root=data_root, data_prefix='Art')
whole_target = dict(data_root=data_root, data_prefix='Clipart', classes_from='Art')
held_out = 873
target = dict(dataset=whole_target)
train_dataloader = dict(dataset=dict(source=source, target=target))
val_dataloader = dict(dataset=dict(dataset=target))
test_dataloader = dict(dataset=whole_target)
arch_evaluation = dict(calibration_dataloader=dict(dataset=dict(dataset=target)))

model = dict(head=dict(num_classes=65))
data_preprocessor = dict(num_classes=65)
