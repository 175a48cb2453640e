# The quick start's segmentor, on its scenes of digits (tools/digit_scenes.py): a supernet searched
# by mIoU.
_base_ = ['../quickstart/segment.py', '../_base_/adapt_macro.py']

model = dict(backbone=dict(widen_factor=0.25))
search_loop = dict(num_archs=50, input_size=96, score='mIoU')
arch_evaluation = dict(calibration_batches=4)
