"""The registries of scope ``pinas_mm``, children of mmengine's roots: configs name ours as
``pinas_mm.X``."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import mmengine.registry
from mmengine.registry import DATA_SAMPLERS as ROOT_DATA_SAMPLERS
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import LOOPS as ROOT_LOOPS
from mmengine.registry import METRICS as ROOT_METRICS
from mmengine.registry import MODEL_WRAPPERS as ROOT_MODEL_WRAPPERS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import OPTIM_WRAPPERS as ROOT_OPTIM_WRAPPERS
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import Registry

from .schema import check_when_made

SCOPE = 'pinas_mm'


class CheckedRegistry(Registry):
    """A registry whose classes check the bounds of their arguments
    (:func:`~.schema.check_when_made`)."""

    def register_module(self, name: Any = None, force: bool = False, module: Any = None) -> Any:
        if module is not None:
            return self._checked(super().register_module(name, force, module))
        register = super().register_module(name, force)
        return lambda module: self._checked(register(module))

    @staticmethod
    def _checked(module: Any) -> Any:
        return check_when_made(module) if isinstance(module, type) else module


MODELS = CheckedRegistry(
    'model',
    parent=ROOT_MODELS,
    scope=SCOPE,
    locations=['pinas_mm.models', 'pinas_mm.strategies', 'pinas_mm.tasks'],
)
MODEL_WRAPPERS = CheckedRegistry(
    'model wrapper', parent=ROOT_MODEL_WRAPPERS, scope=SCOPE, locations=['pinas_mm.engine']
)
DATASETS = CheckedRegistry(
    'dataset', parent=ROOT_DATASETS, scope=SCOPE, locations=['pinas_mm.datasets', 'pinas_mm.tasks']
)
DATA_SAMPLERS = CheckedRegistry(
    'data sampler',
    parent=ROOT_DATA_SAMPLERS,
    scope=SCOPE,
    locations=['pinas_mm.datasets', 'pinas_mm.tasks'],
)
TRANSFORMS = CheckedRegistry(
    'transform',
    parent=ROOT_TRANSFORMS,
    scope=SCOPE,
    locations=['pinas_mm.datasets', 'pinas_mm.tasks'],
)
OPTIM_WRAPPERS = CheckedRegistry(
    'optimizer wrapper', parent=ROOT_OPTIM_WRAPPERS, scope=SCOPE, locations=['pinas_mm.strategies']
)
HOOKS = CheckedRegistry('hook', parent=ROOT_HOOKS, scope=SCOPE, locations=['pinas_mm.engine'])
METRICS = CheckedRegistry(
    'metric', parent=ROOT_METRICS, scope=SCOPE, locations=['pinas_mm.evaluation', 'pinas_mm.tasks']
)
LOOPS = CheckedRegistry('loop', parent=ROOT_LOOPS, scope=SCOPE, locations=['pinas_mm.engine'])


def class_of(
    config: Mapping[str, Any] | str | type | None, registry: Registry, scope: str | None = None
) -> type:
    """The class that a config names, as a registry would build it; made for ``issubclass``.

    Args:
        config: A config with a ``type``, or the type: text with or without a scope, a dotted module
            path, or the class itself.
        registry: The registry of such classes.
        scope: Scope of a text that has none: the ``default_scope`` of the whole config. Defaults to
            the current one.

    Returns:
        The class; ``object`` where the config names none, so that it is a subclass of none of ours.
    """
    member = member_of(config, registry, scope)
    return member if isinstance(member, type) else object


def member_of(
    config: Mapping[str, Any] | str | type | None, registry: Registry, scope: str | None = None
) -> Callable[..., Any] | None:
    """The class or function that a config names; None where it names none. For the arguments see
    :func:`class_of`."""
    kind = config.get('type') if isinstance(config, Mapping) else config
    with registry.switch_scope_and_registry(scope) as scoped:
        return _found(kind, scoped)


def with_type_names(settings: Any, scope: str | None = None) -> Any:
    """Settings with every ``type`` as text, the same however a config writes it, for records of a
    run that another one is compared with.

    Args:
        settings: Plain data, classes and functions; it is not changed.
        scope: As in :func:`class_of`.

    Returns:
        A copy. A ``type`` that a registry knows, and any class or function, has its registered name
        with its scope, such as ``'mmengine.SGD'``; one that is not registered has its dotted path.
        Other text stays.
    """
    with ROOT_MODELS.switch_scope_and_registry(scope) as own:  # imports the scope's registries
        scope = own.scope
    # All first: a registry imports its modules when it is first asked, and knows the names of those
    # alone that are imported.
    meant = {
        text: next(
            filter(None, (_found(text, root.children.get(scope, root)) for root in _roots())), None
        )
        for text in set(_types(settings))
    }
    registered = {
        id(member): f'{registry.scope}.{name}'
        for root in _roots()
        for registry in _tree(root)
        for name, member in reversed(registry.module_dict.items())
    }

    def name(member: Any) -> str:
        path = f'{getattr(member, "__module__", "")}.{getattr(member, "__qualname__", member)}'
        return registered.get(id(member), path)

    def named(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                key: name(meant[entry])
                if key == 'type' and isinstance(entry, str) and meant[entry] is not None
                else named(entry)
                for key, entry in value.items()
            }
        if isinstance(value, list | tuple):
            return type(value)(map(named, value))
        return name(value) if callable(value) else value

    return named(settings)


def _types(settings: Any) -> Iterator[str]:
    """Every ``type`` in settings that is text."""
    if isinstance(settings, Mapping):
        for key, entry in settings.items():
            if key == 'type' and isinstance(entry, str):
                yield entry
            else:
                yield from _types(entry)
    elif isinstance(settings, list | tuple):
        for entry in settings:
            yield from _types(entry)


def _found(kind: Any, registry: Registry) -> Callable[..., Any] | None:
    """What a ``type`` means; None where it means nothing that can be called."""
    if isinstance(kind, str):
        try:
            kind = registry.get(kind)
        except RuntimeError:  # mmengine's answer to a module path that leads nowhere
            kind = None
    return kind if callable(kind) else None


def own_member(kind: Any) -> Callable[..., Any] | None:
    """The class or function of this package that a ``type`` means, where the registry is not known:
    the class itself or text of this scope."""
    if callable(kind):
        return kind if is_own(kind) else None
    if not str(kind).startswith(f'{SCOPE}.'):
        return None
    registries = (value for value in globals().values() if isinstance(value, Registry))
    return next(filter(None, (_found(kind, registry) for registry in registries)), None)


def is_own(member: Callable[..., Any]) -> bool:
    """Whether a class or function is of this package."""
    return getattr(member, '__module__', '').partition('.')[0] == SCOPE


def close_names(kind: Any, registry: Registry, scope: str | None = None) -> list[str]:
    """Names that a mistyped ``type`` may mean, best first. For the arguments see
    :func:`class_of`."""
    if not isinstance(kind, str):
        return []
    own, _, name = kind.rpartition('.')
    with registry.switch_scope_and_registry(own or scope) as scoped:
        known: list[str] = []
        above: Registry | None = scoped
        while above is not None:
            known += above.module_dict
            above = above.parent
        close = difflib.get_close_matches(name, known, 3)
    return [f'{own}.{found}' for found in close] if own in registry.children else close


def _roots() -> list[Registry]:
    """mmengine's registries, of which all others are children."""
    return [root for root in vars(mmengine.registry).values() if isinstance(root, Registry)]


def _tree(registry: Registry) -> Iterator[Registry]:
    yield registry
    for child in registry.children.values():
        yield from _tree(child)
