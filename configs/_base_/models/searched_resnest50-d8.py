_base_ = './searched_resnest50.py'

# Output stride 8. As published, the first block of a dilated stage keeps its average pool and half
# the stage's dilation.
searched_backbone = dict(
    strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True, avd_dilated=True
)
