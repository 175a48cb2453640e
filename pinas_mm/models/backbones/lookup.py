"""From the name of a space to the backbone that runs it."""

from collections.abc import Iterator

from mmengine.registry import MODELS, Registry

from ...errors import InputError
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


def _registered(registry: Registry) -> Iterator[tuple[str, object]]:
    """Every class of a registry and of those below it, by the name a config has for it."""
    for name, cls in registry.module_dict.items():
        yield f'{registry.scope}.{name}', cls
    for child in registry.children.values():
        yield from _registered(child)
