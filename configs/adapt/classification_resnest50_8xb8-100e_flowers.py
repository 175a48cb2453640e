_base_ = './classification_resnest50_8xb8-100e_cub.py'

flowers = dict(type='Flowers102', data_root='data/Flowers102')
# Of the 2,040 images of its training and validation sets.
held_out = 408
train_dataloader = dict(dataset=dict(flowers, split='trainval'))
test_dataloader = dict(dataset=flowers)
model = dict(head=dict(num_classes=102))
data_preprocessor = dict(num_classes=102)
