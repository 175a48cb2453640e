_base_ = './classification_resnest50_8xb8-100e_cub.py'

cars = dict(type='StanfordCars', data_root='data/Stanford_Cars')
held_out = 800
train_dataloader = dict(dataset=cars)
test_dataloader = dict(dataset=cars)
model = dict(head=dict(num_classes=196))
data_preprocessor = dict(num_classes=196)
