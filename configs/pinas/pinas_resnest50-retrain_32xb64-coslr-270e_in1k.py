# A subnet trained on ImageNet from scratch by mmpretrain's ResNeSt-50 recipe, with the arch
# published for classification (Pi-NAS-cls); for transfer, the one of the base. The whole training
# set: nothing is chosen by it any more.
_base_ = [
    __import__('pinas_mm').config_path('mmpretrain::resnest/resnest50_32xb64_in1k.py'),
    '../_base_/models/searched_resnest50.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        **dict(
            _base_.searched_backbone,
            arch=[3, 0, 1, 3, 2, 3, 1, 2, 0, 3, 2, 1, 3, 0, 3, 2],
            out_indices=(3,),
            init_cfg=None,
        ),
    )
)
randomness = dict(seed=0)
default_hooks = dict(epoch_seed=dict(type='pinas_mm.EpochSeedHook'))
# The recipe names validation data, but no loops.
val_cfg = dict()
test_cfg = dict()
