# The searched backbone of every transfer config, which puts it in the place of another with
# `backbone=dict(_delete_=True, **_base_.searched_backbone)`. By default the arch published for
# transfer (Pi-NAS-trans); one of your own: `model = dict(backbone=dict(arch='subnet.yaml',
# init_cfg=dict(checkpoint='subnet.pth')))`. The weights are those retrained on ImageNet by
# pinas/pinas_resnest50-retrain_*.py, published ones by tools/convert.py, or what the subnet
# inherits from the supernet.
custom_imports = dict(imports=['pinas_mm'])
searched_backbone = dict(
    type='pinas_mm.SearchableResNeSt',
    arch=[3, 3, 3, 3, 1, 1, 3, 3, 3, 0, 0, 1, 1, 0, 2, 1],
    out_indices=(0, 1, 2, 3),
    init_cfg=dict(
        type='Pretrained', checkpoint='set model.backbone.init_cfg.checkpoint', prefix='backbone.'
    ),
)
