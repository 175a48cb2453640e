_base_ = './pinas_resnest50-retrain_32xb64-coslr-270e_in1k.py'

# The found subnet, starting from the weights it inherits; both files come from the search.
model = dict(
    backbone=dict(
        arch='work_dirs/search/subnet.yaml',
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint='work_dirs/search/subnet.pth',
            prefix='backbone.',
        ),
    )
)
