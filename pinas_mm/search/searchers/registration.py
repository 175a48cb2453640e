"""The searchers by name. A searcher registers itself; a config names it. No torch, no mmengine."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ...errors import InputError
from ...spaces import SearchSpace
from .base import NUM_ARCHS, Feasible, Searcher

SEARCHERS: dict[str, type[Searcher]] = {}

S = TypeVar('S', bound=type[Searcher])


def register_searcher(name: str) -> Callable[[S], S]:
    """Class decorator that makes ``dict(type=name)`` build the class.

    A searcher of this package needs no more than its file in this folder. A file of another
    package has to be imported before a config is built, with ``custom_imports``.

    Raises:
        InputError: Another class has the name, or the name has a dot: then it would be read as the
            path of a class.
    """
    if '.' in name:
        raise InputError(f"searcher name {name!r}: expected no dot in it, such as 'annealing'")

    def register(cls: S) -> S:
        # A module that is loaded a second time defines its class again.
        if name in SEARCHERS and _path(SEARCHERS[name]) != _path(cls):
            raise InputError(
                f'searcher name {name!r}: {_path(SEARCHERS[name])} has it, choose another '
                f'name for {_path(cls)}'
            )
        SEARCHERS[name] = cls
        return cls

    return register


def get_searcher(searcher: str | type[Searcher]) -> type[Searcher]:
    """The class that a config's ``type`` means.

    Args:
        searcher: A registered name, the dotted path of a class, or the class.

    Raises:
        InputError: There is no such searcher; the message lists the registered names.
    """
    expected = f'expected one of {sorted(SEARCHERS)}, the dotted path of a class, or a class'
    found: Any = searcher
    if isinstance(searcher, str) and '.' in searcher:
        module, _, name = searcher.rpartition('.')
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ModuleNotFoundError as error:
            # An import inside the module that fails is a bug there: keep its traceback.
            if error.name is None or not f'{module}.'.startswith(f'{error.name}.'):
                raise
            found = None
    elif isinstance(searcher, str):
        found = SEARCHERS.get(searcher)
    if not (isinstance(found, type) and issubclass(found, Searcher)):
        raise InputError(f'searcher: unknown type {searcher!r}, {expected}')
    return found


def searcher_name(searcher: str | type[Searcher]) -> str:
    """A ``type`` as text, the same for every way to write it: the registered name of the class, or
    its dotted path where it has none. The header of a search history needs plain data."""
    cls = get_searcher(searcher)
    names = (name for name, registered in SEARCHERS.items() if registered is cls)
    return next(names, _path(cls))


def _path(cls: type) -> str:
    return f'{cls.__module__}.{cls.__qualname__}'


def known_arguments(cls: type[Searcher]) -> list[str]:
    """The arguments that a config may give a searcher."""
    known: dict[str, None] = {}
    for base in cls.__mro__:
        parameters = inspect.signature(vars(base).get('__init__', object.__init__)).parameters
        known |= {
            key: None
            for key, p in parameters.items()
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        }
    return [key for key in known if key not in ('self', 'space', 'feasible', 'seed', 'budget')]


def unknown_arguments(config: Mapping[str, Any]) -> list[str]:
    """The arguments of a searcher's config that its class does not know; none where there is no
    such class."""
    try:
        cls = get_searcher(config.get('type'))  # type: ignore[arg-type]  # None is no searcher
    except InputError:
        return []
    return sorted(config.keys() - {'type', *known_arguments(cls)})


def build_searcher(
    config: Mapping[str, Any],
    space: SearchSpace,
    feasible: Feasible | None,
    seed: int,
    budget: int = NUM_ARCHS,
) -> Searcher:
    """Builds a searcher from its config.

    Args:
        config: ``dict(type='random', max_draws=1000)``: ``type`` as in :func:`get_searcher`, and
            arguments of the class. It is not changed.
        space: What to search.
        feasible: The limits, such as :class:`pinas_mm.costs.Constraints`; None for no limits.
        seed: Seed of the searcher's generator.
        budget: Archs that the whole search will evaluate, for searchers that take it.

    Raises:
        InputError: An unknown type or argument; the message lists the known ones.
    """
    arguments = dict(config)
    name = arguments.pop('type', None)
    cls = get_searcher(name)
    if unknown := unknown_arguments(config):
        raise InputError(
            f'searcher {name!r}: unknown argument(s) {unknown}, expected some of '
            f'{known_arguments(cls)}'
        )
    if _takes_budget(cls):
        arguments['budget'] = budget
    return cls(space, feasible, seed=seed, **arguments)


def _takes_budget(cls: type[Searcher]) -> bool:
    """Whether a class has an argument ``budget``, or hands it on to a base that has; a searcher of
    another package may know none."""
    for base in cls.__mro__:
        if '__init__' in vars(base):
            parameters = inspect.signature(vars(base)['__init__']).parameters
            if 'budget' in parameters:
                return True
            if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
                break
    return False
