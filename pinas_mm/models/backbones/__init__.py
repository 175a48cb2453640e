"""The searchable backbones, one file per space.

Every file of this folder is imported here, and every backbone in it can be imported from here, so
that a new one needs no line elsewhere."""

from importlib import import_module
from pkgutil import iter_modules

from .arch_backbone import ArchBackbone, pretrained_files
from .lookup import backbone_settings, backbone_type, supernet_of_space
from .supernet import borrowed, refuse_shared_weights, searchable_backbone_of, supernet_of

__all__ = [
    'ArchBackbone',
    'backbone_settings',
    'backbone_type',
    'borrowed',
    'pretrained_files',
    'refuse_shared_weights',
    'searchable_backbone_of',
    'supernet_of',
    'supernet_of_space',
]

for _file in iter_modules(__path__):
    for _name, _class in vars(import_module(f'{__name__}.{_file.name}')).items():
        if isinstance(_class, type) and issubclass(_class, ArchBackbone):
            globals()[_name] = _class
            __all__ += [_name] if _name not in __all__ else []
