# For a supernet that learned without labels: its weights stay, a linear classifier alone learns the
# target before the search.
_base_ = './classification_nasbench-macro_1xb64-10e_folder.py'

# Features are standardised, as for the linear classifier of the method (linear_macro.py).
model = dict(
    neck=[
        dict(type='GlobalAveragePooling'),
        dict(type='ClsBatchNormNeck', input_features=320, affine=False),
    ]
)
# Subnets learn at a lower rate than from raw features: by it a standardised one moves its class
# scores further.
optim_wrapper = dict(optimizer=dict(lr=0.05))
supernet_stage = dict(
    model=dict(backbone=dict(frozen_stages=4)),
    optim_wrapper=dict(optimizer=dict(_delete_=True, type='Adam', lr=0.01)),
)
