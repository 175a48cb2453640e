# The other files here change how the supernet is trained, nothing else.
_base_ = [
    '../_base_/models/supernet_macro.py',
    '../_base_/datasets/image_folder_32.py',
    '../_base_/schedules/passes_200k.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
default_hooks = dict(logger=dict(interval=100), checkpoint=dict(by_epoch=False, interval=-1))
val_cfg = dict(type='pinas_mm.ArchValLoop')
test_cfg = dict()
