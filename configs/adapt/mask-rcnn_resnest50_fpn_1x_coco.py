# COCO, searched by box mAP on 5,000 images held out of train2017; val2017 is read once, at the end.
_base_ = ['../mmdet/mask-rcnn_pinas-resnest50_fpn_1x_coco.py', '../_base_/adapt.py']

held_out = 5000
split = dict(type='pinas_mm.SeededSplit')
train_set = _base_.train_dataloader.dataset
train_dataloader = dict(dataset=dict(_delete_=True, part='learning', dataset=train_set, **split))
# The images bring their annotations: those of a file of train2017 would count every image of it.
*steps, pack = _base_.test_pipeline
pack = dict(pack, meta_keys=[*pack['meta_keys'], 'instances'])
val_dataloader = dict(
    dataset=dict(
        _delete_=True, part='held_out', dataset=dict(train_set, pipeline=[*steps, pack]), **split
    )
)
val_evaluator = dict(ann_file=None)
search_loop = dict(input_size=(800, 1216), score='coco/bbox_mAP')
