# COCO, searched by box mAP on 5,000 images held out of train2017; val2017 is read once, at the end.
_base_ = ['../mmdet/mask-rcnn_pinas-resnest50_fpn_1x_coco.py', '../_base_/adapt.py']

held_out = 5000
search_loop = dict(input_size=(800, 1216), score='coco/bbox_mAP')
