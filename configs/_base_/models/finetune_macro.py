_base_ = './linear_macro.py'

# The subnet with the weights it inherits, all of them trained; both files come from the search.
model = dict(
    backbone=dict(
        arch='work_dirs/search/subnet.yaml',
        frozen_stages=-1,
        init_cfg=dict(checkpoint='work_dirs/search/subnet.pth'),
    )
)
custom_hooks = []
