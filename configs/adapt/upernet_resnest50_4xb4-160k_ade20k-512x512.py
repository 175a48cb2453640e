# ADE20K, searched by mIoU on 1,000 images held out of the training set; the validation set is read
# once, at the end.
_base_ = ['../mmseg/pinas-resnest50_upernet_4xb4-160k_ade20k-512x512.py', '../_base_/adapt.py']

held_out = 1000
search_loop = dict(input_size=512, score='mIoU')
