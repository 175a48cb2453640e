"""The searchers by name. A searcher registers itself; a config names it. No torch, no mmengine."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ...errors import InputError
from ...schema import arguments, check_arguments, check_when_made, shown
from ...spaces import SearchSpace
from .base import NUM_ARCHS, Feasible, Searcher

# The arguments that a search gives.
GIVEN = ('space', 'feasible', 'seed', 'budget')
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
        return check_when_made(cls)

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
        raise InputError(f'searcher.type={shown(searcher)}: no such searcher, {expected}')
    return found


def searcher_name(searcher: str | type[Searcher]) -> str:
    """A ``type`` as text, the same for every way to write it: the registered name of the class, or
    its dotted path where it has none. The header of a search history needs plain data."""
    cls = get_searcher(searcher)
    names = (name for name, registered in SEARCHERS.items() if registered is cls)
    return next(names, _path(cls))


def _path(cls: type) -> str:
    return f'{cls.__module__}.{cls.__qualname__}'


def unknown_arguments(config: Mapping[str, Any]) -> list[str]:
    """The arguments of a searcher's config that its class does not know; none where there is no
    such class."""
    try:
        cls = get_searcher(config.get('type'))  # type: ignore[arg-type]  # None is no searcher
    except InputError:
        return []
    known, _, is_open = arguments(cls)
    unknown = set() if is_open else config.keys() - known.keys() - {'type'}
    return sorted(unknown | (config.keys() & set(GIVEN)))


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
        InputError: An unknown type or argument, or a value that does not fit; the message lists
            what is known.
    """
    cls = get_searcher(config.get('type'))  # type: ignore[arg-type]  # None is no searcher
    check_arguments(cls, config, 'searcher', GIVEN)
    given = {name: value for name, value in config.items() if name != 'type'}
    if 'budget' in arguments(cls)[0]:  # a searcher of another package may know none
        given['budget'] = budget
    return cls(space, feasible, seed=seed, **given)
