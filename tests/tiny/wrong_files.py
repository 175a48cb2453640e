"""Files as an editor, a broken disk or an attacker may leave them, made of a good one."""

import copy
import fnmatch
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pinas_mm.errors import InputError

# What stands in for each value of a good file.
VALUES = {
    'null': None,
    'text': 'x',
    'digits': '1',
    'list': [],
    'list of text': ['x'],
    'mapping': {},
    'true': True,
    'nan': float('nan'),
    'inf': float('inf'),
    '-inf': float('-inf'),
    '-1': -1,
    '0': 0,
    '0.5': 0.5,
    '10**400': 10**400,
}


def of_values(
    good: Any, dump: Callable[[Any], str] = json.dumps, values: Mapping[str, Any] = VALUES
) -> Iterator[tuple[str, bytes]]:
    """Each key left out, added or of another value."""
    for keys in list(_places(good)):
        name = '.'.join(map(str, keys))
        if keys:
            yield f'no {name}', dump(_changed(good, keys, _remove)).encode()
        for kind, value in values.items():
            other = _changed(good, keys, lambda whole, key, value=value: whole | {key: value})
            yield f'{name}={kind}', dump(other).encode()
    for keys in [keys for keys in _places(good) if isinstance(_at(good, keys), dict)]:
        name = '.'.join(map(str, (*keys, 'new')))
        yield f'with {name}', dump(_changed(good, (*keys, 'new'), lambda w, k: w | {k: 1})).encode()


def of_bytes(good: bytes, flips: int = 24) -> Iterator[tuple[str, bytes]]:
    """Cut, doubled, and with other bytes."""
    half = len(good) // 2
    yield 'empty', b''
    yield 'spaces', b' \n \n'
    for part in range(1, 8):
        yield f'cut at {part}/8', good[: len(good) * part // 8]
    yield 'no start', good[1:]
    yield 'twice', good + good
    yield 'a byte order mark', b'\xef\xbb\xbf' + good
    yield 'UTF-16', good.decode().encode('utf-16')
    yield 'UTF-32', good.decode().encode('utf-32')
    yield 'Latin-1', good[:half] + b'\xe9' + good[half:]
    yield 'a zero byte', good[:half] + b'\0' + good[half:]
    yield 'zero bytes', bytes(len(good))
    yield 'zero bytes after it', good + bytes(512)
    yield 'random bytes', np.random.default_rng(0).bytes(1000)
    yield 'Windows lines', good.replace(b'\n', b'\r\n')
    yield 'pickle', b'\x80\x04\x8c\x08builtins\x94\x8c\x04eval\x94\x93\x94.'
    yield 'too large', good + b' ' * 2**24
    rng = np.random.default_rng(1)
    for number in range(flips):
        flipped = bytearray(good)
        flipped[rng.integers(len(good))] ^= 1 << int(rng.integers(8))
        yield f'flip {number}', bytes(flipped)


def of_json(good: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """What JSON can be that a good file is not."""
    text = json.dumps(good)
    key = json.dumps(next(iter(good)))
    yield 'deep list', b'[' * 100_000
    yield 'deep mapping', b'{"a":' * 100_000
    yield 'deep closed list', b'[' * 200 + b']' * 200
    yield 'deep value', f'{{"new": {"[" * 200}{"]" * 200}, {text[1:]}'.encode()
    yield 'key twice', f'{{{key}: 1, {text[1:]}'.encode()
    yield 'long number', f'{{{key}: {"9" * 100_000}}}'.encode()
    yield '1e999', f'{{{key}: 1e999}}'.encode()
    yield 'two values', f'{text}{text}'.encode()
    yield 'comment', f'// {text}'.encode()
    yield 'single quotes', text.replace('"', "'").encode()
    yield 'comma at the end', f'{text[:-1]},}}'.encode()
    yield 'list around it', f'[{text}]'.encode()
    yield 'text around it', json.dumps(text).encode()
    yield 'odd key', f'{{"\\ud800\\u0000\\n": 1, {text[1:]}'.encode()
    yield 'many keys', json.dumps(good | {str(i): 1 for i in range(100_000)}).encode()
    yield 'no JSON', b'import os'


def try_files(
    path: Path,
    read: Callable[[Path], Any],
    files: Mapping[str, bytes],
    accepted: Mapping[str, str],
    named: Path | None = None,
) -> tuple[int, int, int]:
    """Reads every file: it is refused in one line that names it, or accepted on purpose.

    Args:
        path: Where to write them.
        read: Reads one.
        files: Contents by name.
        accepted: Why files are accepted, by a pattern of their names. Those that begin with
            ``flip`` may be.
        named: What messages name, by default ``path``.

    Returns:
        The numbers tried, refused and accepted.
    """
    refused, fits, broken = 0, [], {}
    for name, content in files.items():
        path.write_bytes(content)
        start = time.perf_counter()
        try:
            read(path)
            fits.append(name)
        except InputError as error:
            message = str(error)
            refused += 1
            if (
                str(named or path) not in message
                or '\n' in message
                or len(message) > len(str(path)) + 500
            ):
                broken[name] = message[:1000]
        except Exception as error:
            broken[name] = f'{type(error).__name__}: {error}'[:300]
        if time.perf_counter() - start > 10:  # two on an idle machine
            broken[name] = 'took too long'
    unmeant = [name for name in fits if not any(_fits(name, pattern) for pattern in accepted)]
    unused = [
        pattern
        for pattern in accepted
        if not pattern.startswith('flip') and not any(_fits(name, pattern) for name in fits)
    ]
    print(f'{path.name}: {len(files)} tried, {refused} refused, {len(fits)} accepted')
    assert not broken, f'{len(broken)} broken: {broken}'
    assert not unmeant, f'{len(unmeant)} accepted: {unmeant}'
    assert not unused, f'not accepted: {unused}'
    return len(files), refused, len(fits)


def _fits(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern)


def _places(value: Any, keys: tuple = ()) -> Iterator[tuple]:
    yield keys
    for key, part in _parts(value):
        yield from _places(part, (*keys, key))


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from list(enumerate(value))[:2]  # the others are alike


def _at(value: Any, keys: tuple) -> Any:
    for key in keys:
        value = value[key]
    return value


def _changed(good: Any, keys: tuple, change: Callable[[Any, Any], Any]) -> Any:
    if not keys:
        return change({'': good}, '')['']
    changed = copy.deepcopy(good)
    whole = _at(changed, keys[:-1])
    if isinstance(whole, list):
        parts = change(dict(enumerate(whole)), keys[-1])
        whole[:] = parts.values()
    else:
        parts = change(dict(whole), keys[-1])
        whole.clear()
        whole.update(parts)
    return changed


def _remove(whole: dict, key: Any) -> dict:
    return {other: value for other, value in whole.items() if other != key}
