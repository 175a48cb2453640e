"""What changed in the settings of a run since it began."""

import json
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from .schema import dotted, shown

# Differences that a message shows, and characters of a value in it.
MOST_SHOWN, LONGEST = 8, 60
_NOTHING = object()


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a JSON file gives them back: tuples are lists, and what JSON does not have, such
    as a class or an infinite number, is text."""
    return json.loads(json.dumps(settings, default=str), parse_constant=str)


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two settings of :func:`plain_settings`.

    Returns:
        Dotted keys with both values, such as ``'seed was 3 and is 4; model.head.topk was not set
        and is [1, 5]'``; empty where nothing differs. An entry of a list has its index as key, as
        in ``--cfg-options``. Long values are cut.
    """
    changes = [
        f'{key} was {_text(old)} and is {_text(new)}' for key, old, new in _changes(before, now)
    ]
    more = len(changes) - MOST_SHOWN
    return '; '.join(changes[:MOST_SHOWN]) + (f'; and {more} more' if more > 0 else '')


def _changes(old: Any, new: Any, keys: tuple[Hashable, ...] = ()) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = dict.fromkeys([*old, *new])
        pairs = [(name, old.get(name, _NOTHING), new.get(name, _NOTHING)) for name in names]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(old, new))]
        if not any(isinstance(value, Mapping | list) for value in [*old, *new]):
            pairs = []  # short values: shown as a whole
    else:
        pairs = []
    if pairs:
        for name, before, now in pairs:
            yield from _changes(before, now, (*keys, name))
    elif old != new:
        yield dotted(keys), old, new


def _text(value: Any) -> str:
    if value is _NOTHING:
        return 'not set'
    text = shown(value)
    return text if len(text) <= LONGEST else f'{text[: LONGEST - 3]}...'
