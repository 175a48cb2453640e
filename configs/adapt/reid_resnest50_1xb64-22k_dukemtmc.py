# DukeMTMC-reID, in the same layout. (Its authors have withdrawn it: for comparison with earlier
# results.)
_base_ = './reid_resnest50_1xb64-22k_market1501.py'

duke = dict(dataset=dict(data_root='data/dukemtmc-reid/'))
train_dataloader = duke
val_dataloader = duke
test_dataloader = duke
model = dict(head=dict(num_classes=602))  # 702, without those held out
