"""From the name of a space to the backbone that runs it."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.registry import MODELS, Registry

from ...errors import InputError
from ...spaces import get_space
from ...spaces.subnet_file import SubnetFile
from .arch_backbone import ArchBackbone


def backbone_type(space: str, source: str = 'space') -> str:
    """The ``type`` with which a config names the backbone of a space, ``'<scope>.<class>'``. It is
    found among all models registered with mmengine, whatever package they are of.

    Args:
        space: Name of the space.
        source: Where the name came from, for the message.

    Raises:
        InputError: No registered backbone has the space, or several have: a config has to say
            which.
    """
    types: dict[type, str] = {}
    for name, cls in _registered(MODELS):
        if isinstance(cls, type) and issubclass(cls, ArchBackbone):
            if space in [known.name for known in cls.known_spaces()]:
                types.setdefault(cls, name)
    if len(types) != 1:
        found = f'{sorted(types.values())} have' if types else 'no imported backbone has'
        raise InputError(
            f'{source}: {found} the space {space!r}: give a config whose model.backbone has it'
        )
    return next(iter(types.values()))


def backbone_settings(name: str, source: str = 'space') -> dict[str, Any]:
    """The config that builds the supernet of a space at its full width: ``type``, and which of its
    spaces is meant where a class has several, such as ``depth=50``.

    Args:
        name: Name of the space.
        source: Where the name came from, for the message.

    Raises:
        InputError: No imported module has registered the space, or see :func:`backbone_type`.
    """
    space = get_space(name, source)
    config: dict[str, Any] = dict(type=backbone_type(name, source))
    if MODELS.get(config['type']).known_spaces() != (space,):
        # Such a class knows by a subnet file which of its spaces is meant.
        with TemporaryDirectory() as folder:
            path = Path(folder, 'subnet.yaml')
            SubnetFile(name, (0,) * space.num_slots).write(path)
            config |= MODELS.build(dict(config, arch=path)).space_arguments
    return config


def supernet_of_space(name: str, source: str = 'space') -> ArchBackbone:
    """The backbone of a space as a supernet at its full width, without weights (on the meta
    device): to measure costs. For the arguments and errors see :func:`backbone_settings`."""
    # Not built there: some of mm's networks compute with tensors while they are built.
    return MODELS.build(backbone_settings(name, source)).to('meta')


def _registered(registry: Registry) -> Iterator[tuple[str, object]]:
    """Every class of a registry and of those below it, by the name a config has for it."""
    for name, cls in registry.module_dict.items():
        yield f'{registry.scope}.{name}', cls
    for child in registry.children.values():
        yield from _registered(child)
