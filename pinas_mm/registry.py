"""The registries of scope ``pinas_mm``, children of mmengine's roots: configs name ours as
``pinas_mm.X``."""

from collections.abc import Mapping
from typing import Any

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

SCOPE = 'pinas_mm'

MODELS = Registry(
    'model',
    parent=ROOT_MODELS,
    scope=SCOPE,
    locations=['pinas_mm.models', 'pinas_mm.strategies', 'pinas_mm.tasks'],
)
MODEL_WRAPPERS = Registry(
    'model wrapper', parent=ROOT_MODEL_WRAPPERS, scope=SCOPE, locations=['pinas_mm.engine']
)
DATASETS = Registry(
    'dataset', parent=ROOT_DATASETS, scope=SCOPE, locations=['pinas_mm.datasets', 'pinas_mm.tasks']
)
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=ROOT_DATA_SAMPLERS,
    scope=SCOPE,
    locations=['pinas_mm.datasets', 'pinas_mm.tasks'],
)
TRANSFORMS = Registry(
    'transform',
    parent=ROOT_TRANSFORMS,
    scope=SCOPE,
    locations=['pinas_mm.datasets', 'pinas_mm.tasks'],
)
OPTIM_WRAPPERS = Registry(
    'optimizer wrapper', parent=ROOT_OPTIM_WRAPPERS, scope=SCOPE, locations=['pinas_mm.strategies']
)
HOOKS = Registry('hook', parent=ROOT_HOOKS, scope=SCOPE, locations=['pinas_mm.engine'])
METRICS = Registry(
    'metric', parent=ROOT_METRICS, scope=SCOPE, locations=['pinas_mm.evaluation', 'pinas_mm.tasks']
)
LOOPS = Registry('loop', parent=ROOT_LOOPS, scope=SCOPE, locations=['pinas_mm.engine'])


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
    kind = config.get('type') if isinstance(config, Mapping) else config
    if isinstance(kind, str):
        with registry.switch_scope_and_registry(scope) as scoped:
            try:
                kind = scoped.get(kind)
            except RuntimeError:  # mmengine's answer to a module path that leads nowhere
                kind = None
    return kind if isinstance(kind, type) else object
