"""Typed schemas: what fits passes, and the message names key, value, expectation and a value."""

import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from mmengine.config import ConfigDict

from pinas_mm.errors import InputError
from pinas_mm.schema import (
    Count,
    Number,
    Positive,
    Probability,
    Seed,
    WholeNumber,
    check,
    check_arguments,
    check_when_made,
    shown,
)


@dataclass(frozen=True)
class Row:
    name: str
    arch: tuple[int, ...]
    scores: Mapping[str, Number] = field(default_factory=dict)


@dataclass(frozen=True)
class Rows:
    rows: list[Row]
    width: Positive = 1.0


class Base:
    def __init__(self, lr: Positive, steps: Count = 3, anything=None) -> None: ...


class Derived(Base):
    def __init__(self, *, where: dict | None = None, **kwargs: Any) -> None: ...

    __init__.__module__ = 'pinas_mm.of_this_package'


@pytest.mark.parametrize(
    'kind, fits, wrong',
    [
        (Count, [1, 7], [0, -1, True, 2.0, '3', None, [1], float('nan'), 10**400, 10**5000]),
        (WholeNumber, [0], [-1, False, 0.0]),
        (Seed, [0, 2**32 - 1], [-1, 2**32, 'a']),
        (Number, [0, -1.5], [float('nan'), float('inf'), '1', True, 10**400]),
        (Positive, [1e-9, 3], [0, -1, float('nan')]),
        (Probability, [0, 1, 0.5], [-0.1, 1.1, float('nan')]),
        (int, [3], ['3', 3.0, True]),
        (float, [3, 0.5], ['3', float('nan'), True]),
        (str, ['a'], [3, b'a', None]),
        (tuple[int, int], [(1, 2), [1, 2]], [[1], [1, 2, 3], ['1', 2], 12, '12']),
        (int | tuple[int, int], [1, [1, 2]], [[1, 'a'], 'a', 1.5]),
        (dict[str, Number] | None, [None, dict(a=1), ConfigDict(a=1)], [dict(a='b'), 3, []]),
    ],
)
def test_what_fits(kind, fits, wrong):
    for value in fits:
        check(kind, value)
    for value in wrong:
        with pytest.raises(InputError, match='expected') as caught:
            check(kind, value, 'file.yaml', 'a.b')
        assert str(caught.value).startswith('file.yaml: a.b') and len(str(caught.value)) < 400


def test_a_dataclass_is_made_of_a_mapping():
    rows = check(Rows, dict(rows=[dict(name='a', arch=[1, 2], scores=dict(top1=3))]))
    assert rows == Rows([Row('a', (1, 2), dict(top1=3.0))])


@pytest.mark.parametrize(
    'value, message',
    [
        (dict(rows=[dict(name='a', arch=[1, 'x'])]), "rows.0.arch.1='x': expected a whole number"),
        (dict(rows=[dict(name='a')]), 'rows.0.arch is missing, expected a value'),
        (dict(rows=[], widht=2), 'widht: unknown key'),
        (dict(rows=[], width=float('inf')), 'width=inf: expected a finite number above 0'),
        ([1], r'\[1\]: expected a dict'),
    ],
)
def test_the_message_of_a_file(value, message):
    with pytest.raises(InputError, match=f'^x.json: {message}'):
        check(Rows, value, 'x.json')


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(lr=1, step=2), r"hook\.step: unknown key, expected 'steps'\?"),
        (dict(lr=1, zzz=2), r"hook\.zzz: unknown key, expected some of \['where', 'lr', 'steps'"),
        (dict(lr='1'), r"hook\.lr='1': expected a finite number above 0, such as 0\.5"),
        (dict(lr=1, where=3), r'hook\.where=3: expected a dict, such as dict\(key=value\)'),
    ],
)
def test_the_arguments_of_a_class(settings, message):
    with pytest.raises(InputError, match=f'^{message}'):
        check_arguments(Derived, dict(settings, type='Derived'), 'hook')


def test_an_argument_that_is_missing():
    with pytest.raises(InputError, match=r'^hook\.lr: is missing, expected a finite number'):
        check_arguments(Base, dict(steps=2), 'hook')
    check_arguments(Base, dict(steps=2), 'hook', given=['lr'])
    check_arguments(Base, dict(steps=2), 'hook', complete=False)
    check_arguments(Derived, dict(steps=2), 'hook')  # it may give its base the rest


class Users:
    """As another package writes it: sloppy, for a reader, and with a type that is not there."""

    def __init__(
        self, size: int = None, sampler: type[Base] = None, name: str = 'a', **kwargs: Any
    ) -> None: ...


def users_function(loader: 'NotImported', size: int = 3) -> None: ...  # noqa: F821


def test_of_other_packages_plain_types_count():
    check_arguments(Users, dict(size=None, sampler=dict(type='x'), other=1), 'hook')
    with pytest.raises(InputError, match="^hook.size='3': expected a whole number"):
        check_arguments(Users, dict(size='3'), 'hook')
    check_arguments(users_function, dict(loader=dict(), size='3'), 'hook')
    check_arguments(dict, dict(anything=1), 'hook')  # written in C


def test_arguments_that_fit():
    check_arguments(Derived, dict(type='Derived', lr=1, anything='x', where=dict(a=1)), 'hook')
    check_arguments(Derived, dict(steps=1), 'hook', given=['lr'])
    with pytest.raises(InputError, match='hook.lr: unknown key'):
        check_arguments(Derived, dict(lr=1), 'hook', given=['lr'])


def test_a_whole_number_stays_one():
    found = check(dict[str, Number], dict(a=10**12, b=0.5))
    assert str(found) == "{'a': 1000000000000, 'b': 0.5}"


@pytest.mark.parametrize(
    'kind, value, message',
    [
        (list[Number], ['x'] * 10**6, "0='x': expected a finite number"),
        (tuple[int, ...], [0, *['x'] * 10**6], "1='x': expected a whole number"),
        (list[list[int]], [[0, 'x']] * 10**6, "0.1='x': expected a whole number"),
        (
            dict[str, int],
            {str(i): 'x' for i in range(10**6)},
            'expected a dict of at most 100,000 ke',
        ),
        (dict[str, int], {1: 1}, "1=1: expected text as key, such as 'a'"),
        (dict[str, int], {'a\n': 'x'}, r"'a\\n'='x': expected a whole number"),
        (Row, dict(name='a', arch=[], **{'a b': 1, 'x' * 999: 1}), 'a b: unknown key'),
        (Row, dict(name='a', arch=[], **{'x' * 999: 1}), "'x{90,99}[.]{3}x{90,99}': unknown key"),
        (Row, {1: 1}, "1=1: expected text as key, such as 'a'"),
    ],
)
def test_errors_of_large_values_and_odd_keys(kind, value, message):
    start = time.perf_counter()
    with pytest.raises(InputError, match=f'^f: .*{message}') as error:
        check(kind, value, 'f')
    assert time.perf_counter() - start < 2 and len(str(error.value)) < 400
    assert '\n' not in str(error.value)


def test_a_long_value_is_cut():
    bomb: list = ['x']
    for _ in range(60):
        bomb = [bomb] * 9
    for value in (
        bomb,
        'a' * 10**6,
        10**5000,
        dict(enumerate(range(10**5))),
        {1: {2: bomb}},
        type('Other', (dict,), {})(a=bomb),
    ):
        assert len(shown(value)) <= 200


def test_bounds_are_checked_whenever_an_object_is_made():
    """Also without a config, and by tools that check none."""

    class Made:
        def __init__(self, lr: Positive, steps: Count | None = None, name: str = 'a') -> None:
            self.lr = lr

    class Below(Made):
        def __init__(self, extra: Count = 1, **kwargs: Any) -> None:
            super().__init__(**kwargs)

    for cls in (Made, Below):
        cls.__init__.__module__ = 'pinas_mm.made'  # annotations of others are not enforced
        check_when_made(cls)
    assert Made(0.5).lr == Below(lr=2).lr - 1.5 and Made(1, name=3).lr == 1
    assert list(inspect.signature(Made).parameters) == ['lr', 'steps', 'name']
    for make, message in [
        (lambda: Made(0), 'Made.lr=0: expected a finite number above 0, such as 0.5'),
        (lambda: Made(1, steps='2'), "Made.steps='2': expected a whole number of at least 1"),
        (lambda: Below(extra=0, lr=1), 'Below.extra=0: expected a whole number'),
        (lambda: Below(lr=-1), 'Below.lr=-1: expected a finite number above 0'),
    ]:
        with pytest.raises(InputError, match=f'^{message}'):
            make()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'lr'"):
        Made()
    # Of a class that is not decorated, the base's are.
    with pytest.raises(InputError, match='^Other.lr=0: expected'):
        type('Other', (Made,), {})(0)
