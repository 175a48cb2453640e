# Nothing but the hook and the search loop: a supernet as the backbone of a detector, searched by
# box mAP.
_base_ = ['../mmdet/faster-rcnn_pinas-macro_fpn_1xb8-6e_bccd.py', '../_base_/adapt_macro.py']

model = dict(backbone=dict(widen_factor=0.25))
search_loop = dict(num_archs=100, input_size=(240, 320), score='coco/bbox_mAP')
arch_evaluation = dict(calibration_batches=8)
